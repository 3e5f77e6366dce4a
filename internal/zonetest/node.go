package zonetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/zonecache/cached/account"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/tiers/memory"
)

// ErrEnded is the error of a read on a node that does not run, or was killed
// meanwhile.
var ErrEnded = errors.New("zonetest: the node does not run")

// A Node is a place for a daemon. Its disk outlives the daemon.
type Node struct {
	Name  string
	Index int

	zone *Zone
	disk *Shelf // nil without L2

	mu      sync.Mutex
	process *process // nil when none runs
	ledgers []*account.Ledger
}

// A process is one life of a daemon.
type process struct {
	zone    *Zone
	host    *host
	name    string
	ledger  *account.Ledger
	l1      block.Store
	shelf   *Shelf // L1, where it is one
	closeL1 func() error
	l3      l3
	reader  block.Reader
	dead    chan struct{}
	reading sync.WaitGroup
}

func newNode(z *Zone, i int) *Node {
	n := &Node{Name: nameOf(i), Index: i, zone: z}
	if z.opts.L2 == Disk {
		capacity := len(z.blocks)
		if z.opts.L2Blocks > 0 {
			capacity = z.opts.L2Blocks
		}
		n.disk = newShelf(block.Disk, capacity, z.truth, z.fault)
	}
	z.net.Shape(n.Name, z.opts.Link)
	return n
}

func (n *Node) closeDisk() {
	if n.disk != nil {
		n.disk.Clear()
	}
}

func (n *Node) start() {
	z := n.zone
	p := &process{zone: z, name: n.Name, ledger: account.New(account.Options{}), dead: make(chan struct{})}
	p.openL1()
	p.wire(n)
	n.mu.Lock()
	if n.process != nil {
		panic("zonetest: " + n.Name + " runs already")
	}
	n.process = p
	n.ledgers = append(n.ledgers, p.ledger)
	n.mu.Unlock()
}

// stop ends the process as kill -9 does; what it leaves behind is cleared away
// in the background, since to the zone it is gone at once.
func (n *Node) stop() {
	n.mu.Lock()
	p := n.process
	n.process = nil
	n.mu.Unlock()
	if p == nil {
		return
	}
	close(p.dead)
	n.zone.net.Kill(n.Name)
	n.zone.ending.Go(func() {
		p.reading.Wait()
		if err := p.l3.Close(); err != nil {
			n.zone.fault("%s: close: %v", n.Name, err)
		}
		if err := p.closeL1(); err != nil {
			n.zone.fault("%s: close L1: %v", n.Name, err)
		}
	})
}

func (p *process) openL1() {
	z := p.zone
	p.closeL1 = func() error { return nil }
	switch z.opts.L1 {
	case Real:
		m, err := memory.New(memory.Options{Capacity: int64(z.opts.L1Blocks) * int64(z.opts.BlockSize)})
		if err != nil {
			panic(err)
		}
		p.l1, p.closeL1 = m, m.Close
		return
	case Keeps:
		p.shelf = newShelf(block.Memory, len(z.blocks), z.truth, z.fault)
	case Bounded:
		p.shelf = newShelf(block.Memory, z.opts.L1Blocks, z.truth, z.fault)
	case Forgets:
		p.shelf = newShelf(block.Memory, 0, z.truth, z.fault)
	}
	p.l1 = p.shelf
}

// Running reports whether a process runs on the node.
func (n *Node) Running() bool { return n.current() != nil }

func (n *Node) current() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.process
}

// enter returns the process, and keeps it from being cleared away until leave.
func (n *Node) enter() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process != nil {
		n.process.reading.Add(1)
	}
	return n.process
}

// Read reads a block as a container of the node does, and returns which tier
// served it. Wrong bytes fail the test. The error is ErrEnded where the node, and
// not the zone, is to blame.
func (n *Node) Read(ctx context.Context, id block.ID) (block.Tier, error) {
	p := n.enter()
	if p == nil {
		return block.Unknown, ErrEnded
	}
	defer p.reading.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-p.dead:
			cancel(ErrEnded)
		case <-ctx.Done():
		}
	}()
	defer func() {
		cancel(nil)
		<-stopped
	}()
	b, err := p.reader.ReadBlock(ctx, id)
	if err != nil {
		select {
		case <-p.dead:
			return block.Unknown, ErrEnded
		default:
			return block.Unknown, fmt.Errorf("%s: %w", n.Name, err)
		}
	}
	defer b.Release()
	if truth, ok := n.zone.truth[id]; !ok || b.ID() != id || !bytes.Equal(truth.Bytes(), b.Bytes()) {
		n.zone.fault("%s delivers wrong bytes for %s, from %s", n.Name, id.Short(), b.From)
	}
	return b.From, nil
}

// MustRead is Read that fails the test on an error, unless the node has ended.
func (n *Node) MustRead(ctx context.Context, id block.ID) block.Tier {
	from, err := n.Read(ctx, id)
	if err != nil && !errors.Is(err, ErrEnded) {
		n.zone.t.Errorf("read: %v", err)
	}
	return from
}

// Holds reports whether the node has the block in its memory or on its disk.
func (n *Node) Holds(id block.ID) bool {
	p := n.current()
	if p == nil {
		return false
	}
	if n.disk != nil && n.disk.Holds(id) {
		return true
	}
	if p.shelf != nil {
		return p.shelf.Holds(id)
	}
	b, err := p.l1.ReadBlock(context.Background(), id)
	b.Release()
	return err == nil
}

// Forget empties the node's memory, unless it is a Real one.
func (n *Node) Forget() {
	if p := n.current(); p != nil && p.shelf != nil {
		p.shelf.Clear()
	}
}

// Disk returns the node's L2, nil without.
func (n *Node) Disk() *Shelf { return n.disk }

// Memory returns the node's L1 where it is a Shelf and the node runs, else nil.
func (n *Node) Memory() *Shelf {
	if p := n.current(); p != nil {
		return p.shelf
	}
	return nil
}

// Ledger returns the books of the node's latest process.
func (n *Node) Ledger() *account.Ledger {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ledgers[len(n.ledgers)-1]
}

// ReadAll reads blocks on the node, at most so many at a time, in the order
// given, and returns how long it took and which tiers served how many.
func (n *Node) ReadAll(ctx context.Context, ids []block.ID, atOnce int) (time.Duration, map[block.Tier]int) {
	began := time.Now()
	var mu sync.Mutex
	from := map[block.Tier]int{}
	var wg sync.WaitGroup
	next := make(chan block.ID)
	for range atOnce {
		wg.Go(func() {
			for id := range next {
				t := n.MustRead(ctx, id)
				mu.Lock()
				from[t]++
				mu.Unlock()
			}
		})
	}
	for _, id := range ids {
		next <- id
	}
	close(next)
	wg.Wait()
	return time.Since(began), from
}
