package peer

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// A Registrar carries to the registrar of an image's tree that this node joins,
// stays in or leaves the tree. The api's peer client is one; the receiving end is
// [Tier.JoinTree] and [Tier.LeaveTree].
//
// Errors are those of [Transport].
type Registrar interface {
	// JoinTree takes a seat in the tree, or keeps it; it is called about once a
	// second. lost is the parent that failed this node, else "".
	JoinTree(ctx context.Context, to placement.Member, image, lost string) (placement.Seat, error)
	// LeaveTree gives the seat back.
	LeaveTree(ctx context.Context, to placement.Member, image string) error
}

// trees is the other way of distribution, FaaSNet's Function Trees: a node joins
// the tree of an image with its first read of it. From then on it asks its parent
// for the image's blocks, who asks its own, up to the root, who reads as in a
// zone without trees. Blocks flow down the same streams, each node passing on what
// still arrives.
//
// The registrar of a tree is the owner of the image's name on the ring; what it
// knows is soft (registry). Nodes renew their seats every second, and learn of a
// new parent that way. When the registrar dies, seats stay as they are until its
// successor has seated everybody anew.
//
// Why nobody waits in a circle, whatever registrars say: each ask states the level
// of the asker, and only a node of a smaller level answers it or waits for it. Two
// trees at once, or seats out of date, lead to a Gone, and the read goes to the
// ring. So does every read whose parent fails.
type trees struct {
	*Tier
	registrar Registrar
	registry  *registry
	seats     seats
	sends     places // of blocks on the wire to children
	counts    treeCounts
}

type treeCounts struct {
	climbs, climbed, fallbacks, complaints, handed atomic.Uint64
}

// TreeStats are counts since the tier was made; zero without trees.
type TreeStats struct {
	Climbs     uint64 // reads that asked a parent
	Climbed    uint64 // of these, which got the block from it
	Fallbacks  uint64 // the others, which went to the ring
	Complaints uint64 // parents that failed this node
	Handed     uint64 // blocks given to children
}

// A rung is where a reception stands in the image's tree.
type rung uint16

const (
	noRung   rung = iota // not known yet
	ringRung             // it asks by the ring, as the root does
)

// grow makes the tier distribute by trees.
func (t *Tier) grow(registrar Registrar) {
	g := &trees{Tier: t, registrar: registrar, registry: newRegistry()}
	g.seats.init(g)
	g.sends.free = maxHandings
	t.trees = g
	t.bring, t.climb = g.bring, g.answer
	t.begin(g.seats.keep)
}

// JoinTree answers a node that joins or stays in the tree of an image this node
// is the registrar of. node is who asks, by its certificate; lost is the parent
// that failed it, or "". The error is block.ErrNotFound where this node keeps no
// trees or the node is none of the zone.
func (t *Tier) JoinTree(image, node, lost string) (placement.Seat, error) {
	if t.trees == nil || t.closing() {
		return placement.Seat{}, fmt.Errorf("peer: this node keeps no trees: %w", block.ErrNotFound)
	}
	if err := checkImage(image); err != nil {
		return placement.Seat{}, err
	}
	if !t.member(node) {
		return placement.Seat{}, fmt.Errorf("peer: %q joins the tree of %q: no such node in the zone: %w", node, image, block.ErrNotFound)
	}
	return t.trees.registry.join(image, node, lost, t.member), nil
}

// member reports whether the ring knows a node of that name.
func (t *Tier) member(name string) bool {
	_, ok := t.opts.Ring().Member(name)
	return ok
}

// LeaveTree answers a node that leaves the tree of an image.
func (t *Tier) LeaveTree(image, node string) {
	if t.trees != nil {
		t.trees.registry.leave(image, node)
	}
}

// LeaveTrees leaves all trees this node is in, as a node must that drains: its
// children then have other parents before it goes. It joins no more.
func (t *Tier) LeaveTrees(ctx context.Context) {
	if t.trees != nil {
		t.trees.seats.leaveAll(ctx)
	}
}

// Trees returns the trees this node is in or is the registrar of, by image.
func (t *Tier) Trees() []TreeStatus {
	if t.trees == nil {
		return nil
	}
	all := map[string]TreeStatus{}
	t.trees.registry.status(all, t.member)
	t.trees.seats.status(all)
	return sortedStatus(all)
}

// TreeStats returns the counts of the trees.
func (t *Tier) TreeStats() TreeStats {
	if t.trees == nil {
		return TreeStats{}
	}
	c := &t.trees.counts
	return TreeStats{
		Climbs: c.climbs.Load(), Climbed: c.climbed.Load(), Fallbacks: c.fallbacks.Load(),
		Complaints: c.complaints.Load(), Handed: c.handed.Load(),
	}
}

const maxImageName = 256 // bytes; longer than any name or manifest id

func checkImage(image string) error {
	if image == "" || len(image) > maxImageName {
		return fmt.Errorf("peer: tree of an image with a name of %d bytes: %w", len(image), block.ErrNotFound)
	}
	return nil
}

// at returns the member to ask for a seat: the owner of the image's name, or who
// stands in for it.
func (g *trees) at(image string) (placement.Member, bool) {
	for _, m := range g.opts.Ring().Holders(block.Sum([]byte("tree of "+image)), standIns) {
		if m.Name == g.opts.Node || g.mayAsk(m.Name) {
			return m, true
		}
	}
	return placement.Member{}, false
}

// sit asks the registrar for a seat.
func (g *trees) sit(ctx context.Context, image, lost string) (placement.Seat, error) {
	m, ok := g.at(image)
	switch {
	case !ok:
		return placement.Seat{}, errNobody
	case m.Name == g.opts.Node:
		return g.JoinTree(image, g.opts.Node, lost)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, renewEvery, ErrStalled)
	defer cancel()
	n := g.peers.get(m.Name)
	asked := time.Now()
	seat, err := g.registrar.JoinTree(ctx, m, image, lost)
	if err != nil {
		return placement.Seat{}, fmt.Errorf("peer: join the tree of %q at %s: %w", image, m.Name, g.failed(ctx, n, asked, err))
	}
	n.breaker.succeeded()
	if seat.Level < 0 || seat.Level > maxLevel || seat.Parent == g.opts.Node || (seat.Parent == "") != (seat.Level == 0) {
		return placement.Seat{}, fmt.Errorf("peer: join the tree of %q at %s: the seat %v is none: %w", image, m.Name, seat, block.ErrCorrupt)
	}
	return seat, nil
}

// maxLevel is the level of a node in a tree of four thousand million.
const maxLevel = 31

// vacate gives a seat back.
func (g *trees) vacate(ctx context.Context, image string) {
	m, ok := g.at(image)
	switch {
	case !ok:
	case m.Name == g.opts.Node:
		g.LeaveTree(image, g.opts.Node)
	default:
		n := g.peers.get(m.Name)
		asked := time.Now()
		if err := g.registrar.LeaveTree(ctx, m, image); err != nil {
			_ = g.failed(ctx, n, asked, err) // it will notice that the seat is not renewed
			return
		}
		n.breaker.succeeded()
	}
}

const (
	renewEvery = time.Second
	idleFor    = 10 * time.Second // an image nobody reads for so long is left
)

// maxHandings is how many blocks are on the wire to children at a time. Most flow
// as slowly as they come, so that a few leave the uplink idle: a burst of 16 nodes
// took 2.75, 2.6 and 2.4 times the bound with 4, 8 and 16, and 2.6 with 64.
const maxHandings = 16

// waitForSeat is how long the first read of an image waits for a seat.
const waitForSeat = 500 * time.Millisecond
