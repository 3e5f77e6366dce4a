package placement

import (
	"container/list"
	"slices"
	"time"

	"github.com/zonecache/cached/block"
)

// A Holding says how much of a block a node has.
type Holding uint8

// What a node may have of a block.
const (
	None     Holding = iota // nothing, and nothing is on its way
	Expected                // it is on its way, its first byte is not here yet
	Flowing                 // its first bytes are here and can be passed on
	Whole                   // all of it
)

// A Result says how a send ended.
type Result uint8

// How a send may end.
const (
	Delivered Result = iota // the reader has all of the block now
	Broken                  // it has not, and has gone elsewhere
)

// Limits bounds what a Desk takes on. A zero field takes its value from
// [DefaultLimits].
type Limits struct {
	PerBlock int           // f: sends of one block at a time; also how many may wait for its first byte
	Total    int           // T: sends of all blocks and images at a time, those that queue included
	Active   int           // sends on the wire at a time, the others queue; 0: as OnTheWire says
	Given    int           // how many of a block's recipients are remembered
	Blocks   int           // blocks with a state of their own, about 450 bytes each
	Idle     time.Duration // how long a block nobody asks for keeps its state
}

// DefaultLimits are the ones simulations found best (docs/adr/0007-burst.md).
func DefaultLimits() Limits {
	return Limits{PerBlock: 2, Total: 8, Given: 8, Blocks: 16384, Idle: 10 * time.Second}
}

// OnTheWire returns how many sends a node whose uplink carries rate Mbit/s has on the
// wire at a time: what that carries in wireTime. On links of 100 Mbit/s and less
// every further block lets asks and the origin's streams stand behind it for longer;
// at 1 Gbit/s eight let hosts finish sooner (docs/adr/0025-simulator.md). A rate of
// 0 is not known, and not taken for a fast one.
func OnTheWire(rate uint32) int {
	if rate == 0 {
		rate = 1
	}
	return within(rate, 0, wireTime, 4, DefaultLimits().Total)
}

// wireTime is how long the blocks on a link's wire may take together.
const wireTime = 20 * time.Millisecond

func (l Limits) withDefaults() Limits {
	def := DefaultLimits()
	for _, f := range []struct{ have, def *int }{
		{&l.PerBlock, &def.PerBlock}, {&l.Total, &def.Total}, {&l.Given, &def.Given}, {&l.Blocks, &def.Blocks},
	} {
		if *f.have <= 0 {
			*f.have = *f.def
		}
	}
	if l.Idle <= 0 {
		l.Idle = def.Idle
	}
	return l
}

// A Desk is a node's side of the burst protocol REC: it decides for every ask
// whether its reader is served, waits, or goes to a node that has the block from
// here. It remembers, for seconds and for a bounded number of blocks, how many
// sends are in progress, who waits, and whom the block was given to last.
//
// Why readers never wait in a circle: a reader has one source at most, and is
// only sent to nodes whose own source is the node that sends it there, or that
// have the block whole. An orphan, a reader that has lost its source and has
// others behind it, could be sent to one of these: it may wait for nobody but an
// owner, whose source is the origin, and read from nobody who is still reading.
//
// A Desk does no I/O and knows no clock. It is not safe for concurrent use: the
// caller's mutex guards it.
type Desk struct {
	limits      Limits
	perBlock    int // limits.PerBlock and Total at this node's rate
	total       int
	sends       int
	blocks      map[block.ID]*queue
	recentFirst *list.List // of *queue, by use
}

// A queue is what a Desk knows about one block.
type queue struct {
	id      block.ID
	sends   int
	given   given
	waiting []waiter // in the order they came
	used    time.Time
	moved   time.Time // when one of the sends last began or ended
	place   *list.Element
}

// A waiter is a reader that was told to wait.
type waiter struct {
	reader string
	orphan bool   // it has lost a source
	to     string // the new holder it was handed to; else ""
}

// NewDesk returns a desk nobody stands at.
func NewDesk(limits Limits) *Desk {
	limits = limits.withDefaults()
	return &Desk{
		limits: limits, perBlock: limits.PerBlock, total: limits.Total,
		blocks: map[block.ID]*queue{}, recentFirst: list.New(),
	}
}

// A Request is an Ask and what its receiver knows about the asked block.
type Request struct {
	Ask
	Block   block.ID
	Holding Holding
	Role    Role                   // of this node for the block
	Alive   func(name string) bool // whether a node can be redirected to: it lives and is not Slow; nil: all can
}

// A Role says whether a node answers for a block.
type Role uint8

// The roles. A node that becomes the owner while the block comes to it from a
// peer is still a Holder: before it answers an asker that has lost its source it
// must turn to the origin for the rest, because its source may wait for the asker.
const (
	Holder Role = iota // it gives what it has, and may read the block from another holder
	Owner              // it reads the block from the origin; also who stands in for a dead owner, see below
)

// A Decision is what is to be done about a Request.
//
//   - Serve: send the bytes, then call [Desk.Ended]. The send is counted from now on.
//   - Wait: keep the asker and decide again when the block begins to flow, when
//     Ended or [Desk.Left] names the reader, and now and then. Call Left when it
//     goes away or the block does not come.
//   - Redirect: to To. Gone: neither held nor arriving, or not for this reader.
type Decision struct {
	Verdict Verdict
	To      string // Redirect: whom to ask
}

// Decide answers a request, once again for one that waits.
func (d *Desk) Decide(r Request, now time.Time) Decision {
	if r.Holding == None && r.Role != Owner || r.Kind == Held && !r.safelyHeld() {
		return Decision{Verdict: Gone}
	}
	q := d.open(r.Block, now)
	// What the reader found out about others holds for this block only: a liar
	// makes the line here shorter for one block, and no node an outcast.
	q.given.drop(r.Stale)
	q.given.drop(r.Lost)
	// Who asks does not have it any more, and whoever got it from a node that has
	// lost it may have lost it, too: nodes that were sent to each other because
	// each had it once would wait for ever. The owner may go on sending readers to
	// its recipients, because they ask it first once they have lost the block.
	q.given.drop(r.Reader)
	if r.Holding <= Expected && r.Role != Owner {
		q.given = nil
	}
	orphan := r.orphan()
	var decision Decision
	switch {
	case orphan && r.Role != Owner && r.Holding != Whole:
		decision = Decision{Verdict: Gone} // our source may be the orphan itself, or somebody behind it
	case r.Holding <= Expected:
		decision = d.beforeFirstByte(q, r)
	default:
		decision = d.decide(q, r, now)
	}
	if decision.Verdict == Wait {
		q.wait(r.Reader, orphan)
	} else {
		q.leave(r.Reader)
	}
	return decision
}

// decide answers for a block whose bytes are here or come in.
func (d *Desk) decide(q *queue, r Request, now time.Time) Decision {
	orphan := r.orphan()
	handed := q.handed(r.Reader)
	switch {
	case handed != "" && r.mayGo(handed):
		return Decision{Verdict: Redirect, To: handed}
	case q.sends < d.perBlock && d.sends < d.total, r.served():
		return d.serve(q, r.Reader, now)
	}
	if to, ok := q.given.pick(func(g recipient) bool { return (g.whole || !orphan && r.Kind != Held) && r.mayGo(g.name) }); ok {
		return Decision{Verdict: Redirect, To: to}
	}
	if orphan && q.sends > 0 && now.Sub(q.moved) < stuckAfter {
		return Decision{Verdict: Wait}
	}
	// Nobody else has it: this is what uses the uplinks that idle elsewhere.
	return d.serve(q, r.Reader, now)
}

// beforeFirstByte lets few readers wait and sends the others to these, so that
// the tree the block will flow along stands before the block is here.
func (d *Desk) beforeFirstByte(q *queue, r Request) Decision {
	if to, ok := q.given.pick(func(g recipient) bool { return g.whole && r.mayGo(g.name) }); ok {
		return Decision{Verdict: Redirect, To: to} // it was here once, and others still have it
	}
	if r.orphan() || r.Hops >= MaxHops || q.waits(r.Reader) || q.waitersFor(&r) < d.perBlock {
		return Decision{Verdict: Wait}
	}
	for i, w := range q.waiting {
		if !w.orphan && r.mayGo(w.reader) {
			q.waiting = append(slices.Delete(q.waiting, i, i+1), w) // the next one goes to another
			return Decision{Verdict: Redirect, To: w.reader}
		}
	}
	return Decision{Verdict: Wait}
}

// stuckAfter is the time without the begin or end of a send after which orphans do
// not wait for sends any longer: their readers may hang, as the orphans' source did.
const stuckAfter = time.Second

func (d *Desk) serve(q *queue, reader string, now time.Time) Decision {
	q.moved = now
	q.sends++
	d.sends++
	q.given.add(reader, d.limits.Given)
	return Decision{Verdict: Serve}
}

// safelyHeld reports whether an owner that asks for what is held here can read
// it: two owners, by rings that differ, must not wait for each other, and what
// flows through here from a peer may come from behind the asker.
func (r *Request) safelyHeld() bool {
	return r.Holding == Whole || r.Holding == Flowing && r.Role == Owner
}

// orphan reports whether the asker has lost its source and others wait for it.
func (r *Request) orphan() bool { return r.Lost != "" && !r.Alone }

// served reports whether the asker was sent on so often that it is served here
// whatever the load is. Orphans, of whom there are many at once, rather wait in
// line; but a reader may take more than twice MaxHops for ill will.
func (r *Request) served() bool {
	return r.Hops >= 2*MaxHops || r.Hops >= MaxHops && !r.orphan()
}

// mayGo reports whether the asker can be redirected to the node.
func (r *Request) mayGo(name string) bool {
	return name != "" && name != r.Reader && name != r.Stale && name != r.Lost && (r.Alive == nil || r.Alive(name))
}

// Ended says how a send that Decide began ended. It returns the waiting readers
// about whom to decide again: each finished send hands some of the orphans in
// line to the new holder, and makes room for another.
func (d *Desk) Ended(id block.ID, reader string, result Result, now time.Time) []string {
	q, ok := d.blocks[id]
	if !ok || q.sends == 0 {
		panic("placement: a send ended that never began")
	}
	q.sends--
	d.sends--
	q.moved = now
	d.touch(q, now)
	if result == Broken {
		q.given.drop(reader)
		return q.next(d.freeFor(q), "")
	}
	q.given.markWhole(reader)
	again := q.next(d.perBlock, reader)
	return append(again, q.next(d.freeFor(q), "")...)
}

// freeFor returns how many in line are to try for a place: with no send of the
// block left that would call the others, all.
func (d *Desk) freeFor(q *queue) int {
	if q.sends == 0 {
		return len(q.waiting)
	}
	return max(0, d.perBlock-q.sends)
}

// Left says that a reader that was told to wait has gone, or need not wait any
// longer because the block will not come.
func (d *Desk) Left(id block.ID, reader string) {
	if q, ok := d.blocks[id]; ok {
		q.leave(reader)
	}
}

// Holders returns who is known to have the block whole, at most Limits.Given
// nodes, most recently asked last.
func (d *Desk) Holders(id block.ID) []string {
	q, ok := d.blocks[id]
	if !ok {
		return nil
	}
	return q.given.names(func(g recipient) bool { return g.whole })
}

// Behind reports whether somebody reads or waits for the block here: whoever has
// lost its own source of it is then an orphan, and otherwise placement.Ask.Alone.
func (d *Desk) Behind(id block.ID) bool {
	q, ok := d.blocks[id]
	return ok && (q.sends > 0 || len(q.waiting) > 0)
}

// Sends returns how many sends are in progress, those that queue included.
func (d *Desk) Sends() int { return d.sends }

// Forget drops a node that died or left: nobody is redirected to it any more.
func (d *Desk) Forget(node string) {
	for _, q := range d.blocks {
		q.given.drop(node)
	}
}
