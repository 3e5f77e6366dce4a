package peer

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// Hedges (docs/adr/0009-hedging.md).
const (
	hedgeAfter = 0.95                 // of the answers have begun by then,
	hedgeSlack = 1.25                 // or soon after it: who hedges one in twenty has no budget left for pauses
	hedgeShare = 0.05                 // of all reads
	hedgeBurst = 8                    // how many may be saved up
	hedgeFloor = 3 * time.Millisecond // a node that lets others wait has said so by then
)

// hedges says when a second node is asked, and how often that may be.
type hedges struct {
	after, share float64 // hedgeAfter and hedgeShare, but for measurements

	mu     sync.Mutex
	usual  quantile
	tokens float64
}

// delay returns how long an owner may take to its first byte until it is
// unusual; false while that is not known.
func (h *hedges) delay() (time.Duration, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tokens = min(h.tokens+h.share, hedgeBurst)
	d, ok := h.usual.value(h.after)
	return max(time.Duration(hedgeSlack*float64(d)), hedgeFloor), ok
}

// took notes how long an owner took to its first byte.
func (h *hedges) took(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.usual.add(d)
}

// spend reports whether one more hedge is within the budget.
func (h *hedges) spend() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tokens < 1 {
		return false
	}
	h.tokens--
	return true
}

var errHedged = errors.New("peer: another node was faster")

// ask takes one step of the walk. An owner that says nothing for unusually long
// gets company: the next holder is asked for what it has. Whoever sends the first
// byte wins; the answer is the winner's, and so is the reception's arrival.
func (w *walk) ask(ctx context.Context, s step) (placement.Member, placement.Reply, error) {
	into := w.arrival()
	delay, known := time.Duration(0), false
	if s.owner && s.ask.Hops == 0 && w.lost == "" && into.Size() < 0 {
		delay, known = w.hedges.delay()
	}
	started := time.Now()
	if !known {
		reply, err := w.fetch(ctx, s.to, s.ask, into)
		w.clock(s, into, started, err)
		return s.to, reply, err
	}
	first, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	h := &hedge{walk: w, owner: s.to.Name, first: into, cancel: cancel, over: make(chan struct{}), done: make(chan struct{})}
	timer := time.AfterFunc(delay, func() { h.run(ctx) })
	reply, err := w.fetch(first, s.to, s.ask, into)
	w.clock(s, into, started, err)
	if timer.Stop() {
		return s.to, reply, err
	}
	close(h.over)
	<-h.done
	if h.won {
		return h.second, h.reply, h.err
	}
	return s.to, reply, err
}

// clock notes how long an owner took to its first byte, unless it let us wait.
func (w *walk) clock(s step, into *block.Arrival, started time.Time, err error) {
	if !s.owner || err != nil {
		return
	}
	switch first, waits := into.Heard(); {
	case waits > 0:
	case first.IsZero():
		w.hedges.took(time.Since(started))
	default:
		w.hedges.took(first.Sub(started))
	}
}

// A hedge is the second ask of a step.
type hedge struct {
	*walk
	owner  string
	first  *block.Arrival
	cancel context.CancelCauseFunc // of the first ask
	over   chan struct{}           // closed when the first ask has returned
	done   chan struct{}           // closed when this one has; what follows is set then

	second placement.Member
	won    bool
	reply  placement.Reply
	err    error
}

func (h *hedge) run(ctx context.Context) {
	defer close(h.done)
	if h.heard(h.first) || !h.pick() || !h.hedges.spend() { // in this order: a hedge that is not sent costs nothing
		return
	}
	h.stats.hedges.Add(1)
	into := block.NewArrival(h.reception.id, h.opts.Pool)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	fetched := make(chan struct{})
	go func() {
		defer close(fetched)
		h.reply, h.err = h.fetch(ctx, h.second, placement.Ask{Kind: placement.Held}, into)
	}()
	h.race(into, fetched)
	if !h.won {
		cancel(errHedged)
	}
	<-fetched
	if !h.won {
		into.Leave()
	}
}

// race waits for the first byte of either.
func (h *hedge) race(into *block.Arrival, fetched <-chan struct{}) {
	for {
		mine, theirs := into.Changed(), h.first.Changed()
		switch {
		case h.heard(h.first):
			return
		case into.Size() >= 0:
			h.won = true
			h.stats.hedgesWon.Add(1)
			h.cancel(errHedged)
			<-h.over // until then the first transport may write
			h.arrivals.replace(h.reception, into)
			h.arrivals.from(h.reception, h.second.Name, 0)
			return
		}
		select {
		case <-mine:
		case <-theirs:
		case <-fetched:
			if into.Size() < 0 {
				return
			}
		case <-h.over:
			return
		}
	}
}

func (h *hedge) heard(a *block.Arrival) bool {
	first, _ := a.Heard()
	return !first.IsZero()
}

// pick picks the next holder, if it may live.
func (h *hedge) pick() bool {
	for _, m := range h.ring.Holders(h.reception.id, 3) {
		if m.Name != h.owner && m.Name != h.opts.Node {
			h.second = m
			state, _, _ := h.peers.get(m.Name).breaker.state(time.Now())
			return state == Closed
		}
	}
	return false
}
