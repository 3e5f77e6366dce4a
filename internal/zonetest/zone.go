package zonetest

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/tiers/peer"
)

// An L1 says what kind of memory the nodes have.
type L1 int

// The kinds of memory.
const (
	Keeps   L1 = iota // everything, as a Shelf
	Forgets           // nothing at all
	Bounded           // the latest Options.L1Blocks, as a Shelf
	Real              // what tiers/memory keeps in Options.L1Blocks times the block size
)

// An L2 says what kind of disk the nodes have.
type L2 int

// The kinds of disk.
const (
	NoDisk L2 = iota
	Disk      // keeps everything, also over a restart
)

// Options configure a Zone.
type Options struct {
	Nodes     int // started at once; default 4
	Spare     int // further nodes that Join starts
	Blocks    int // in the origin; default 32
	BlockSize int // bytes; default 64 KiB
	Seed      uint64

	L1       L1
	L1Blocks int
	L2       L2
	L2Blocks int // of a Disk; 0: all

	OriginDelay time.Duration // to the first byte; default 20 ms
	OriginRate  float64       // bytes a second; 0: no limit
	OriginReads int           // of one node at a time; default 64
	Timing      Timing
	Link        Link // of every node

	// Detect is how long the membership takes to notice that a node has died,
	// hung, or cannot be reached; default 1 s. Spread is how long news take:
	// that a node has joined or left, or that somebody found one dead; default
	// 200 ms.
	Detect, Spread time.Duration

	Admit  peer.Policy                        // of L2
	Peer   func(name string, o *peer.Options) // changes a node's options
	Logger *slog.Logger                       // nil: nothing is logged

	join func(z *Zone, o peer.Options) l3 // nil: peer.New
}

func (o Options) withDefaults() Options {
	ints := []struct {
		value *int
		or    int
	}{{&o.Nodes, 4}, {&o.Blocks, 32}, {&o.BlockSize, 64 << 10}, {&o.OriginReads, 64}}
	for _, d := range ints {
		if *d.value == 0 {
			*d.value = d.or
		}
	}
	times := []struct {
		value *time.Duration
		or    time.Duration
	}{{&o.OriginDelay, 20 * time.Millisecond}, {&o.Detect, time.Second}, {&o.Spread, 200 * time.Millisecond}}
	for _, d := range times {
		if *d.value == 0 {
			*d.value = d.or
		}
	}
	if o.join == nil {
		o.join = joinPeer
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// A Zone is a number of nodes, the network between them and their origin.
type Zone struct {
	t       testing.TB
	opts    Options
	net     *Network
	origin  *Origin
	blocks  []block.Block
	truth   map[block.ID]block.Block
	inUse   int64 // of the pool, before
	nodes   []*Node
	members members
	ending  sync.WaitGroup // processes that are being ended

	mu    sync.Mutex
	wrong int // wrong bytes seen anywhere
}

// New starts a zone, which ends with the test and then checks itself. It must be
// called inside of synctest.Test.
func New(t testing.TB, opts Options) *Zone {
	t.Helper()
	opts = opts.withDefaults()
	z := &Zone{t: t, opts: opts, net: NewNetwork(opts.Timing), truth: map[block.ID]block.Block{}, inUse: block.DefaultPool.InUse()}
	for i := range opts.Blocks {
		b := blocktest.Block(opts.Seed<<32+uint64(i)+1, opts.BlockSize)
		z.blocks = append(z.blocks, b)
		z.truth[b.ID()] = b
	}
	z.origin = newOrigin(z.blocks, opts.OriginDelay, opts.OriginRate)
	z.members.init(z)
	for i := range opts.Nodes + opts.Spare {
		z.nodes = append(z.nodes, newNode(z, i))
	}
	// All know of each other before the first one starts.
	for _, n := range z.nodes[:opts.Nodes] {
		z.members.enter(n.Name)
	}
	z.members.settle()
	for _, n := range z.nodes[:opts.Nodes] {
		n.start()
	}
	t.Cleanup(z.close)
	return z
}

// close ends all nodes and checks what a zone must not leave behind.
func (z *Zone) close() {
	z.Heal()
	for _, n := range z.nodes {
		n.stop()
	}
	z.ending.Wait()
	z.members.close()
	z.net.Close()
	if err := z.CheckBooks(); err != nil {
		z.t.Errorf("books: %v", err)
	}
	z.origin.close()
	for _, n := range z.nodes {
		n.closeDisk()
	}
	for _, b := range z.blocks {
		b.Release()
	}
	if n := block.DefaultPool.InUse() - z.inUse; n != 0 {
		z.t.Errorf("%d bytes of blocks are not released", n)
	}
}

// fault fails the test; it may come from any goroutine.
func (z *Zone) fault(format string, args ...any) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.wrong++
	if z.wrong <= 10 {
		z.t.Errorf(format, args...)
	}
}

// Wrong returns how often wrong bytes were delivered or kept. Each has failed
// the test already.
func (z *Zone) Wrong() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.wrong
}

// Node returns the i-th node, started or not.
func (z *Zone) Node(i int) *Node { return z.nodes[i] }

// Nodes returns all nodes that are running.
func (z *Zone) Nodes() []*Node {
	return slices.DeleteFunc(slices.Clone(z.nodes), func(n *Node) bool { return !n.Running() })
}

// Net returns the network, whose faults the test may script.
func (z *Zone) Net() *Network { return z.net }

// Origin returns the object store.
func (z *Zone) Origin() *Origin { return z.origin }

// ID returns the name of the i-th block.
func (z *Zone) ID(i int) block.ID { return z.blocks[i].ID() }

// Len returns the number of blocks.
func (z *Zone) Len() int { return len(z.blocks) }

// OriginReads returns how often the block was read from the origin.
func (z *Zone) OriginReads(id block.ID) int { return z.origin.Reads(id) }

// Owner returns the node that owns a block by the ring of all nodes that run.
func (z *Zone) Owner(id block.ID) *Node { return z.Holders(id, 1)[0] }

// Holders returns the owner of a block and its heirs, by the ring of all nodes
// that run.
func (z *Zone) Holders(id block.ID, n int) []*Node {
	var holders []*Node
	for _, m := range z.members.truth().Holders(id, n) {
		holders = append(holders, z.named(m.Name))
	}
	return holders
}

// OwnedBy returns the blocks that a node owns by that ring, as indices.
func (z *Zone) OwnedBy(n *Node) []int {
	var owned []int
	ring := z.members.truth()
	for i := range z.blocks {
		if m, ok := ring.Owner(z.ID(i)); ok && m.Name == n.Name {
			owned = append(owned, i)
		}
	}
	return owned
}

func (z *Zone) named(name string) *Node {
	for _, n := range z.nodes {
		if n.Name == name {
			return n
		}
	}
	panic("zonetest: no node " + name)
}

// Kill ends a node as kill -9 does. Its L2 stays.
func (z *Zone) Kill(i int) {
	z.nodes[i].stop()
	z.members.later(z.opts.Detect)
}

// Hang makes a node silent, as the loss of its power does.
func (z *Zone) Hang(i int) {
	z.net.Hang(z.nodes[i].Name)
	z.members.later(z.opts.Detect)
}

// Wake ends Hang.
func (z *Zone) Wake(i int) {
	z.net.Wake(z.nodes[i].Name)
	z.members.later(z.opts.Detect)
}

// Join starts a node that was not there, or is there no more.
func (z *Zone) Join(i int) {
	z.members.enter(z.nodes[i].Name)
	z.members.now(z.nodes[i].Name)
	z.nodes[i].start()
	z.members.later(z.opts.Spread)
}

// Leave ends a node that says goodbye first: the others have heard of it and
// what it was asked is answered when it ends.
func (z *Zone) Leave(i int) {
	z.members.exit(z.nodes[i].Name)
	<-time.After(2 * z.opts.Spread)
	z.nodes[i].stop()
}

// Restart is Leave, and Join after a pause. The node's L2 is kept.
func (z *Zone) Restart(i int, down time.Duration) {
	z.Leave(i)
	<-time.After(down)
	z.Join(i)
}

// Partition splits the zone into groups of nodes that reach only each other.
func (z *Zone) Partition(groups ...[]int) {
	var named [][]string
	for _, g := range groups {
		var names []string
		for _, i := range g {
			names = append(names, z.nodes[i].Name)
		}
		named = append(named, names)
	}
	z.net.Partition(named...)
	z.members.later(z.opts.Detect)
}

// Heal ends all partitions, hangs and tricks.
func (z *Zone) Heal() {
	z.net.Partition()
	for _, n := range z.nodes {
		z.net.Wake(n.Name)
		z.net.Play(n.Name, Trick{})
	}
	z.members.later(z.opts.Detect)
}

// Play makes a node do something wrong to whoever asks it.
func (z *Zone) Play(i int, t Trick) { z.net.Play(z.nodes[i].Name, t) }

// Shape sets a node's link.
func (z *Zone) Shape(i int, l Link) { z.net.Shape(z.nodes[i].Name, l) }

// SetView fixes which nodes a node believes to be there, itself included, until
// it is called without any.
func (z *Zone) SetView(i int, of ...int) {
	var names []string
	for _, j := range of {
		names = append(names, z.nodes[j].Name)
	}
	z.members.pin(z.nodes[i].Name, names)
}

// Settle returns once the membership has noticed everything.
func (z *Zone) Settle() { <-time.After(z.opts.Detect + z.opts.Spread + time.Millisecond) }

func nameOf(i int) string { return fmt.Sprintf("node%02d", i) }

func memberOf(name string) placement.Member {
	return placement.Member{Name: name, Address: name + ":7072", Zone: "test", Weight: 1}
}
