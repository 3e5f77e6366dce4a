package peer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// Bounds of one read's way through the zone. A forged chain of redirects ends
// at the first, pieces of nodes that each break off at the second.
const (
	maxAsks     = 4 * placement.MaxHops
	maxRestarts = 4
	maxUseless  = 2 // then the zone makes no sense, and the origin does
	maxStalls   = 2 // of nodes that live, until they are left
)

// A walk is the way of one read through the zone, by redirects.
type walk struct {
	*Tier
	reception *reception
	ring      *placement.Ring

	hops     uint8
	lost     string   // a source that died under this read: whoever is asked must know
	liar     string   // who sent wrong bytes
	passed   []string // who is not asked as an owner again: dead, or does not answer for the block
	visited  []string // where redirects led
	sources  []string // who sent the bytes that are here
	restarts int
	pauses   int
	stalls   int
	useless  int  // owners that live and lead nowhere
	waited   bool // for news of the ring
}

// A step is one ask of a walk.
type step struct {
	to    placement.Member
	owner bool // it answers for the block
	ask   placement.Ask
}

var errNobody = fmt.Errorf("no node that answers for the block is left: %w", block.ErrUnavailable)

// walk brings the block into the reception.
func (t *Tier) walk(ctx context.Context, r *reception) error {
	w := t.newWalk(r)
	next, err := w.owner("")
	return w.run(ctx, next, err)
}

func (t *Tier) newWalk(r *reception) *walk {
	return &walk{Tier: t, reception: r, ring: t.opts.Ring()}
}

// run goes from step to step until the block is here. The error is why there is
// no next step.
func (w *walk) run(ctx context.Context, next step, err error) error {
	for asks := 0; err == nil; asks++ {
		if asks == maxAsks {
			return fmt.Errorf("asked %d times in vain: %w", asks, block.ErrUnavailable)
		}
		var done bool
		if next, done, err = w.take(ctx, next); done {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return err
}

// take asks, and returns whom to ask next or that the block is here.
func (w *walk) take(ctx context.Context, s step) (next step, done bool, err error) {
	w.arrivals.from(w.reception, s.to.Name, w.hops)
	before, waited := w.arrival().Have(), w.arrivals.waited(w.reception)
	s.ask.Wrong = s.ask.Lost != "" && s.ask.Lost == w.liar
	s.ask.Alone = s.ask.Lost != "" && w.trees == nil && !w.counter.behind(w.reception.id)
	from, reply, err := w.ask(ctx, s)
	if from.Name != s.to.Name {
		s, before, waited = step{to: from}, 0, 0
	}
	into := w.arrival()
	if into.Have() > before {
		w.sources = append(w.sources, from.Name)
		w.stats.resumedBytes.Add(uint64(before))
	}
	switch {
	case err == nil && reply.Verdict == placement.Serve:
		return w.finish(into, from, reply, w.arrivals.waited(w.reception)-waited)
	case err == nil && reply.Verdict == placement.Redirect:
		next, err = w.redirected(s, reply.To)
	case err == nil:
		next, err = w.gone(ctx, s, reply)
	case ctx.Err() != nil:
		return step{}, false, ctx.Err()
	case errors.Is(err, block.ErrCorrupt) && into.Size() >= 0:
		next, err = w.again(into, err) // two sources disagree about the size
	case s.owner && (errors.Is(err, block.ErrNotFound) || errors.Is(err, block.ErrCorrupt)):
		return step{}, false, err // so says who answers for it
	case errors.Is(err, block.ErrOverloaded):
		if err = w.pause(ctx); err == nil {
			next, err = w.owner(w.unless(s))
		}
	case errors.Is(err, errLives) && into.Size() < 0 && w.stalls < maxStalls:
		// Who stood in for it would read the origin once more. One that has begun to
		// send and stops is left: that may be its way.
		w.stalls++
		next, err = w.owner(w.unless(s))
	case errors.Is(err, block.ErrUnavailable):
		next, err = w.died(s)
	default:
		next, err = w.owner(w.unless(s))
	}
	return next, false, err
}

func (w *walk) arrival() *block.Arrival {
	w.arrivals.mu.Lock()
	defer w.arrivals.mu.Unlock()
	return w.reception.arrival
}

// owner returns the ask of who answers for the block: the owner, or the first of
// the holders after it who may live. stale is who answered Gone, or who must not
// be named again.
func (w *walk) owner(stale string) (step, error) {
	lost, kind := w.lost, placement.Want
	may := func(m placement.Member) bool {
		if slices.Contains(w.passed, m.Name) || !w.mayAsk(m.Name) {
			lost, kind = m.Name, placement.Instead
			return false
		}
		return true
	}
	to := func(m placement.Member) (step, error) {
		if m.Name == w.opts.Node {
			return step{}, errMine
		}
		return step{to: m, owner: true, ask: placement.Ask{Kind: kind, Hops: w.hops, Lost: lost, Stale: stale}}, nil
	}
	first, ok := w.ring.Owner(w.reception.id)
	if ok && (first.Name == w.opts.Node || may(first)) {
		return to(first)
	}
	for from, n := 1, standIns; ; from, n = n, w.ring.Len() {
		holders := w.ring.Holders(w.reception.id, n)
		for _, m := range holders[min(from, len(holders)):] {
			if m.Name == w.opts.Node || may(m) {
				return to(m)
			}
		}
		if n >= w.ring.Len() {
			return step{}, errNobody
		}
	}
}

// unless returns whom the owner must not name again: who was asked, if it was
// not an owner itself.
func (w *walk) unless(s step) string {
	if s.owner {
		return ""
	}
	return s.to.Name
}

// redirected goes where the asked node sent this read, if that is a member this
// read has not been at and that may live; else back to the owner. An owner may
// send it on for long, but not in circles.
func (w *walk) redirected(s step, to string) (step, error) {
	w.hops = min(w.hops, 254) + 1
	m, ok := w.ring.Member(to)
	known := ok && to != w.opts.Node && to != s.to.Name && !slices.Contains(w.visited, to)
	if !known {
		w.stats.misled.Add(1)
		w.says.Warn(w.opts.Logger, "redirect leads nowhere", "peer", s.to.Name, "to", to, "block", w.reception.id.Short(), "hops", w.hops)
	}
	enough := uint8(placement.MaxHops)
	if w.lost != "" {
		enough *= 2
	}
	switch {
	case s.owner && w.hops > enough && (!known || w.hops > 2*placement.MaxHops):
		w.says.Warn(w.opts.Logger, "owner of a block redirects without end", "peer", s.to.Name, "to", to, "block", w.reception.id.Short(), "hops", w.hops)
		w.distrust(w.peers.get(s.to.Name), faint, "redirects without end", fmt.Errorf("%d redirects", w.hops))
		return w.pass(s, "")
	case known && !slices.Contains(w.passed, to) && w.mayAsk(to):
		w.visited = append(w.visited, to)
		return step{to: m, ask: placement.Ask{Hops: w.hops, Lost: w.lost}}, nil
	case !known:
		w.hops = max(w.hops, enough) // in a circle: now the owner must serve
	}
	return w.owner(to)
}

// gone goes back to the owner when a redirect led nowhere. When the owner itself
// does not answer for the block, its ring is another one, and it names whom it
// takes for the owner.
func (w *walk) gone(ctx context.Context, s step, reply placement.Reply) (step, error) {
	if !s.owner {
		return w.owner(s.to.Name)
	}
	owner := reply.To
	if owner == "" || owner == s.to.Name {
		why := fmt.Errorf("%s cannot read it: %w", s.to.Name, block.ErrUnavailable)
		if into := w.arrival(); into.Have() > 0 {
			return w.again(into, why) // perhaps what is here is longer than the block
		}
		return step{}, why
	}
	switch _, known := w.ring.Member(owner); {
	case reply.Epoch != w.ring.Epoch() && !w.waited:
		w.waited = true
		w.catchUp(ctx, owner)
	case reply.Epoch == w.ring.Epoch() && !known:
		w.stats.misled.Add(1)
		w.says.Warn(w.opts.Logger, "peer names an owner that its own ring has not", "peer", s.to.Name, "owner", owner, "block", w.reception.id.Short())
		w.distrust(w.peers.get(s.to.Name), light, "names an owner that is none", fmt.Errorf("%q owns %s", owner, w.reception.id.Short()))
	}
	return w.pass(s, owner)
}

// How long a read waits for a member that others know already, and how often it
// looks.
const (
	catchUpFor   = 300 * time.Millisecond
	catchUpEvery = 10 * time.Millisecond
)

// catchUp waits until this node's ring has the member, too: the news that has made
// the other node's ring is on its way. Who goes on without takes itself for the
// owner of what another node owns, and reads the origin once more.
func (w *walk) catchUp(ctx context.Context, member string) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for until := time.Now().Add(catchUpFor); ; timer.Reset(catchUpEvery) {
		w.ring = w.opts.Ring()
		if _, ok := w.ring.Member(member); ok || time.Now().After(until) {
			return
		}
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// pass goes on after an owner that lives but does not answer for the block, to
// whom it names or the next one.
func (w *walk) pass(s step, to string) (step, error) {
	w.passed = append(w.passed, s.to.Name)
	if w.useless++; w.useless > maxUseless {
		return step{}, errNobody
	}
	m, ok := w.ring.Member(to)
	switch {
	case to == w.opts.Node:
		return step{}, errMine
	case !ok || slices.Contains(w.passed, to) || !w.mayAsk(to):
		return w.owner("")
	}
	return step{to: m, owner: true, ask: placement.Ask{Hops: w.hops, Lost: w.lost}}, nil
}

// died goes on after the death of the asked node.
func (w *walk) died(s step) (step, error) {
	w.ring = w.opts.Ring() // the zone may know of the death by now, and of others
	w.stats.orphans.Add(1)
	w.arrivals.doubt(w.reception)
	w.lost = s.to.Name
	w.passed = append(w.passed, s.to.Name)
	return w.owner("")
}

// finish verifies what has arrived. Bytes that are wrong are the fault of who
// sent them, if it was one node: whoever passes a block on completes it only
// when it is right. waited is how long that one let this read wait.
func (w *walk) finish(
	into *block.Arrival, from placement.Member, reply placement.Reply, waited time.Duration,
) (next step, done bool, err error) {
	b, err := into.Finish(block.Peer)
	if err == nil {
		b.Release()
		w.peers.get(from.Name).verified()
		if owner, ok := w.ring.Owner(into.ID()); ok && owner.Name == from.Name {
			w.origin.proved(from.Name, waited, time.Now())
		}
		if reply.Hot {
			w.hot.Add(into.ID(), time.Now())
		}
		return step{}, true, nil
	}
	slices.Sort(w.sources)
	if w.sources = slices.Compact(w.sources); len(w.sources) <= 1 {
		n := w.peers.get(from.Name)
		n.counts.wrong.Add(1)
		w.distrust(n, grave, "wrong bytes", err)
		w.lost, w.liar = from.Name, from.Name
		w.passed = append(w.passed, from.Name)
	}
	next, err = w.again(into, err)
	return next, false, err
}

// again begins anew, at the owner.
func (w *walk) again(into *block.Arrival, why error) (step, error) {
	if w.restarts++; w.restarts > maxRestarts {
		return step{}, fmt.Errorf("begun %d times in vain: %w (%s)", w.restarts, block.ErrUnavailable, why.Error())
	}
	w.stats.restarts.Add(1)
	w.arrivals.doubt(w.reception)
	w.arrivals.replace(w.reception, into.Restart())
	w.sources = nil
	w.hops = max(w.hops, 2*placement.MaxHops-1) // the owner itself, if it can
	return w.owner("")
}

// pause waits because everybody has too much to do.
func (w *walk) pause(ctx context.Context) error {
	d := min(10*time.Millisecond<<min(w.pauses, 6), 500*time.Millisecond)
	w.pauses++
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
