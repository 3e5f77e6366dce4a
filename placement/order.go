package placement

import (
	"math/rand/v2"
	"sort"
	"time"
)

// OrderLimits shapes an Order. A zero Window, Out or Demand takes its value from
// [DefaultOrder] of an unknown rate and block.
type OrderLimits struct {
	Window int // W: the next one is drawn from that many not yet asked for
	Out    int // w: blocks asked for and not yet here
	Demand int // d: how many of Out are simply the next ones; Out and more: all, in trace order
	Ahead  int // how far beyond the frontier blocks are asked for; 0: no bound
}

// DefaultOrder is how a reader asks in a zone whose links carry rate Mbit/s (0:
// not known, as 1000) for blocks of mean bytes on average (0: 256 KiB). Its
// window, like that of [LookAhead], holds what the origin can have under way:
// what is asked for far ahead of that only takes the origin's link from blocks
// that everybody waits for (docs/adr/0007-burst.md).
func DefaultOrder(rate uint32, mean int) OrderLimits {
	return OrderLimits{Window: within(rate, mean, windowTime, 32, 128), Out: 16, Demand: 4}
}

// LookAhead is how an owner in such a zone reads its own blocks from the origin:
// in trace order, not far ahead of what it has.
func LookAhead(rate uint32, mean int) OrderLimits {
	out := within(rate, mean, windowTime/16, 4, 16)
	return OrderLimits{Window: 1, Out: out, Demand: out, Ahead: within(rate, mean, windowTime, 32, 384)}
}

// windowTime is how long a link may take to carry a window: a few times what an
// origin takes to its first byte, which has several hosts' links to fill.
const windowTime = 128 * time.Millisecond

// within returns how many blocks a link carries in a time, from least to most.
func within(rate uint32, mean int, d time.Duration, least, most int) int {
	if rate == 0 {
		rate = 1000
	}
	if mean <= 0 {
		mean = 256 << 10
	}
	bytes := float64(rate) * 1e6 / 8 * d.Seconds()
	return int(max(float64(least), min(float64(most), bytes/float64(mean))))
}

// An Order says which block of an image to ask for next: a few are the ones the
// program needs next, the others are drawn at random from a window, so that
// hosts that start together ask for different blocks and have something to give
// each other. It is not safe for concurrent use.
type Order struct {
	limits   OrderLimits
	most     int // of out
	rng      *rand.Rand
	asked    []bool
	out      map[int]bool // asked for and not yet here; true: as one of the next ones
	inOrder  int          // how many of out are
	window   []int        // the lowest indexes not asked for, ascending
	beyond   int          // what is not asked for from here on is not in the window
	frontier int
}

// NewOrder returns the order for blocks 0 to n-1. Hosts need different seeds;
// the same seed gives the same order.
func NewOrder(n int, seed uint64, limits OrderLimits) *Order {
	def := DefaultOrder(0, 0)
	if limits.Window <= 0 {
		limits.Window = def.Window
	}
	if limits.Out <= 0 {
		limits.Out = def.Out
	}
	if limits.Demand <= 0 {
		limits.Demand = def.Demand
	}
	return &Order{
		limits: limits, most: limits.Out, rng: rand.New(rand.NewPCG(seed, 0x5bd1e995)),
		asked: make([]bool, max(0, n)), out: map[int]bool{},
	}
}

// Narrow lets no more be out from now on than a part of what the limits allow, one
// at least.
func (o *Order) Narrow(part float64) { o.most = max(1, int(float64(o.limits.Out)*part)) }

// Next returns the index of the block to ask for now, until Done gives it back.
// It returns false when enough is out, nothing is left, or all that is left lies
// too far beyond the frontier.
func (o *Order) Next() (int, bool) {
	if len(o.out) >= o.most {
		return 0, false
	}
	o.fill()
	reach := len(o.window)
	if o.limits.Ahead > 0 {
		reach = sort.SearchInts(o.window, o.frontier+o.limits.Ahead)
	}
	if reach == 0 {
		return 0, false
	}
	at, next := 0, o.inOrder < o.limits.Demand
	if !next {
		at = o.rng.IntN(reach)
	}
	i := o.window[at]
	o.window = append(o.window[:at], o.window[at+1:]...)
	o.asked[i], o.out[i] = true, next
	if next {
		o.inOrder++
	}
	return i, true
}

// fill tops the window up with the lowest indexes not asked for.
func (o *Order) fill() {
	for len(o.window) < o.limits.Window && o.beyond < len(o.asked) {
		if !o.asked[o.beyond] {
			o.window = append(o.window, o.beyond)
		}
		o.beyond++
	}
}

// Done says that block i came, or that it will not be waited for any longer.
func (o *Order) Done(i int) {
	if o.out[i] {
		o.inOrder--
	}
	delete(o.out, i)
}

// Skip says that block i need not be asked for.
func (o *Order) Skip(i int) {
	if i < 0 || i >= len(o.asked) || o.asked[i] {
		return
	}
	o.asked[i] = true
	if at := sort.SearchInts(o.window, i); at < len(o.window) && o.window[at] == i {
		o.window = append(o.window[:at], o.window[at+1:]...)
	}
}

// Advance says that all blocks below the frontier are used. It never goes back.
func (o *Order) Advance(frontier int) { o.frontier = max(o.frontier, frontier) }

// Out returns how many blocks are asked for and not yet here.
func (o *Order) Out() int { return len(o.out) }
