package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/tiers"
)

// A zone is a few nodes whose transport is a function call.
type zone struct {
	t      *testing.T
	nodes  map[string]*testNode
	names  []string
	ring   atomic.Pointer[placement.Ring]
	blocks map[block.ID]block.Block
	delay  time.Duration // of the origin

	mu      sync.Mutex
	origin  map[block.ID]int
	asks    []asking
	serving sync.WaitGroup

	// fault, if set, says what is wrong with an ask.
	fault func(a asking) fault
}

type testNode struct {
	*zone
	name string
	tier *Tier
	l1   *blocktest.Fake
	all  block.Reader
	dead atomic.Pointer[chan struct{}]
}

type asking struct {
	from, to string
	id       block.ID
	placement.Ask
}

// A fault of one ask. The zero fault is none.
type fault struct {
	refuse  error
	hang    bool          // no answer, until the asker gives up
	late    time.Duration // to the first word of any kind
	waits   int           // how often the asker is told to wait before the answer, each time a little late
	reply   *placement.Reply
	after   int           // break off after so many bytes, or
	stall   int           // fall silent after so many
	spoil   bool          // wrong bytes
	head    time.Duration // to the first byte
	chunk   time.Duration // for each 16 KiB
	resized int           // added to the size
}

const chunkBytes = 16 << 10

func newZone(t *testing.T, names ...string) *zone {
	z := &zone{t: t, names: names, nodes: map[string]*testNode{}, blocks: map[block.ID]block.Block{}, origin: map[block.ID]int{}}
	var members []placement.Member
	for _, name := range names {
		members = append(members, placement.Member{Name: name, Address: name, Weight: 100})
	}
	z.ring.Store(ringOf(members))
	for _, name := range names {
		z.start(name, Options{})
	}
	t.Cleanup(z.close)
	return z
}

var rings sync.Map // by names, as making one takes a while

func ringOf(members []placement.Member) *placement.Ring {
	key := fmt.Sprint(members)
	if r, ok := rings.Load(key); ok {
		return r.(*placement.Ring)
	}
	r := placement.NewRing(members)
	rings.Store(key, r)
	return r
}

func (z *zone) start(name string, o Options) *testNode {
	n := &testNode{zone: z, name: name, l1: blocktest.NewFake(block.Memory)}
	alive := make(chan struct{})
	n.dead.Store(&alive)
	o.Node, o.Ring, o.Transport, o.Held = name, z.ring.Load, n, n.l1
	tier, err := New(o)
	if err != nil {
		z.t.Fatal(err)
	}
	n.tier = tier
	origin := block.ReaderFunc(func(ctx context.Context, id block.ID) (block.Block, error) {
		select {
		case <-n.gone():
			return block.Block{}, errCut // the dead read nothing
		default:
		}
		z.mu.Lock()
		z.origin[id]++
		b, ok := z.blocks[id]
		z.mu.Unlock()
		if err := rest(ctx, z.delay); err != nil {
			return block.Block{}, err
		}
		if !ok {
			return block.Block{}, fmt.Errorf("origin: %w", block.ErrNotFound)
		}
		return b.Retain().WithFrom(block.Origin), nil
	})
	local := tiers.Fallback(n.l1, tiers.Flight(tiers.ReadThrough(n.l1, tiers.Fallback(tier.Heirs(), tiers.Flight(origin)), tiers.Always)))
	remote := tiers.Fallback(n.l1, tiers.Flight(tiers.ReadThrough(n.l1, tiers.Fallback(tier, local), tiers.Always)))
	n.all = tiers.Choose(func(id block.ID) bool { o, ok := z.ring.Load().Owner(id); return !ok || o.Name == name }, local, remote)
	tier.SetLocal(local)
	tier.SetPull(remote)
	z.nodes[name] = n
	return n
}

func (z *zone) close() {
	for _, n := range z.nodes {
		if err := n.tier.Close(); err != nil {
			z.t.Error(err)
		}
	}
	z.serving.Wait()
	for _, n := range z.nodes {
		n.l1.Close()
		n.tier.counter.mu.Lock()
		if s := n.tier.counter.desk.Sends(); s != 0 || len(n.tier.counter.calls) != 0 {
			z.t.Errorf("%s: %d sends and %d waiting are left", n.name, s, len(n.tier.counter.calls))
		}
		n.tier.counter.mu.Unlock()
		if n.tier.places.free != n.tier.places.total {
			z.t.Errorf("%s: %d places are free, want %d", n.name, n.tier.places.free, n.tier.places.total)
		}
	}
}

// block makes a block that the origin has and that owner owns, then heir.
func (z *zone) block(seed uint64, size int, holders ...string) block.Block {
	for ; ; seed += 1000 {
		b := blocktest.Block(seed, size)
		fits := true
		for i, m := range z.ring.Load().Holders(b.ID(), len(holders)) {
			fits = fits && m.Name == holders[i]
		}
		if !fits {
			b.Release()
			continue
		}
		z.t.Cleanup(b.Release)
		z.mu.Lock()
		z.blocks[b.ID()] = b
		z.mu.Unlock()
		return b
	}
}

func (z *zone) kill(name string) {
	n := z.nodes[name]
	if c := n.dead.Load(); c != nil {
		select {
		case <-*c:
		default:
			close(*c)
		}
	}
}

func (n *testNode) gone() <-chan struct{} { return *n.dead.Load() }

func (z *zone) originReads(b block.Block) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.origin[b.ID()]
}

func (z *zone) asked(id block.ID) (all []asking) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, a := range z.asks {
		if a.id == id {
			all = append(all, a)
		}
	}
	return all
}

func rest(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *testNode) read(ctx context.Context, b block.Block) error {
	got, err := n.all.ReadBlock(ctx, b.ID())
	if err != nil {
		return err
	}
	defer got.Release()
	if !bytes.Equal(got.Bytes(), b.Bytes()) {
		return errors.New("wrong bytes")
	}
	return nil
}

func (n *testNode) mustRead(b block.Block) {
	n.t.Helper()
	if err := n.read(context.Background(), b); err != nil {
		n.t.Errorf("%s reads %s: %v", n.name, b.ID().Short(), err)
	}
}

var errCut = fmt.Errorf("connection lost: %w", block.ErrUnavailable)

// Fetch implements Transport.
func (n *testNode) Fetch(ctx context.Context, to placement.Member, id block.ID, ask placement.Ask, into *block.Arrival) (placement.Reply, error) {
	a := asking{from: n.name, to: to.Name, id: id, Ask: ask}
	n.mu.Lock()
	n.asks = append(n.asks, a)
	var f fault
	if n.fault != nil {
		f = n.fault(a)
	}
	n.mu.Unlock()
	target := n.nodes[to.Name]
	switch {
	case f.refuse != nil:
		return placement.Reply{}, f.refuse
	case f.reply != nil:
		return *f.reply, nil
	case f.hang:
		<-ctx.Done()
		return placement.Reply{}, ctx.Err()
	}
	if err := rest(ctx, f.late); err != nil {
		return placement.Reply{}, err
	}
	for i := range f.waits {
		if err := rest(ctx, min(time.Duration(i)*time.Second, queuedEvery)+queuedEvery/4); err != nil {
			return placement.Reply{}, err
		}
		into.Waiting()
	}
	select {
	case <-target.gone():
		return placement.Reply{}, errCut
	default:
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	n.serving.Add(1)
	defer n.serving.Done()
	defer context.AfterFunc(ctx, func() {})()
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		select {
		case <-target.gone():
			cancel(errCut)
		case <-n.gone():
			cancel(errCut)
		case <-ctx.Done():
		}
	}()
	defer func() { cancel(nil); <-watching }()
	reply, err := n.transfer(ctx, target, id, ask, into, f)
	if err != nil && errors.Is(context.Cause(ctx), errCut) {
		err = errCut
	}
	return reply, err
}

func (n *testNode) transfer(ctx context.Context, target *testNode, id block.ID, ask placement.Ask, into *block.Arrival, f fault) (placement.Reply, error) {
	if err := rest(ctx, f.head); err != nil {
		return placement.Reply{}, err
	}
	a, err := target.tier.Answer(ctx, id, ask, func() error { into.Waiting(); return ctx.Err() })
	if err != nil || a.Verdict != placement.Serve {
		return a.Reply, err
	}
	sent := 0
	err = func() error {
		if err := into.Begin(a.Source.Size() + f.resized); err != nil {
			return err
		}
		for at := ask.Offset; at < a.Source.Size(); at = ask.Offset + sent {
			p, err := a.Source.Next(ctx, at)
			if err != nil {
				return fmt.Errorf("%w: %w", errCut, err)
			}
			p = p[:min(len(p), chunkBytes)]
			if f.after > 0 && sent >= f.after {
				return errCut
			}
			if f.stall > 0 && sent >= f.stall {
				<-ctx.Done()
				return ctx.Err()
			}
			if err := rest(ctx, f.chunk); err != nil {
				return err
			}
			space := into.Space()
			if len(p) > len(space) {
				return errCut
			}
			copy(space, p)
			if f.spoil {
				space[0]++
			}
			into.Advance(len(p))
			sent += len(p)
		}
		return nil
	}()
	a.Done(sent, err)
	return a.Reply, err
}
