package peer

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// answer answers a child in the tree of the image the ask is for: from what this
// node has or is receiving, or by reading the block itself, for all who then ask.
func (g *trees) answer(ctx context.Context, a *asked) (Answer, error) {
	defer a.leave()
	for {
		if err := g.find(ctx, a); err != nil {
			return Answer{}, err
		}
		answer, again, err := g.follow(ctx, a)
		if !again {
			return answer, err
		}
	}
}

// find looks where the block is, and begins to read it if this node may wait for
// its own parent on behalf of the asker.
func (g *trees) find(ctx context.Context, a *asked) error {
	image := block.CallFrom(ctx).Image
	seat, seated := g.seats.use(image)
	if err := a.find(ctx); err != nil || a.reception != nil || !a.block.IsZero() {
		return err
	}
	switch {
	case a.role == placement.Owner:
		a.reception = g.arrivals.join(a.id, func() *reception { return g.readLocal(ctx, a.id) })
	case seated && seat.Level < int(a.ask.Hops):
		begun := false
		a.reception = g.arrivals.join(a.id, func() *reception {
			begun = true
			return g.receive(ctx, a.id)
		})
		if begun && a.reception != nil {
			g.pass(ctx, a.id)
		}
	default:
		g.seats.doubt(image) // the asker takes this node for its parent
	}
	return nil
}

// pass lets a block that is read for a child go through this node's own chain,
// which keeps it, so that the other child and this node's programs find it.
func (g *trees) pass(ctx context.Context, id block.ID) {
	chain := g.pull.Load()
	if chain == nil {
		return
	}
	call := block.CallFrom(ctx)
	call.Cause = block.Prefetch
	g.begin(func() {
		ctx, cancel := context.WithTimeout(block.WithCall(g.ending, call), g.opts.Budget)
		defer cancel()
		b, err := (*chain).ReadBlock(ctx, id)
		if err == nil {
			b.Release()
		}
	})
}

// follow waits until the block flows. again is true when it must be looked for
// elsewhere.
func (g *trees) follow(ctx context.Context, a *asked) (answer Answer, again bool, err error) {
	for {
		v := a.view()
		if v.arrival == nil {
			return a.gone(), false, nil
		}
		if v.err != nil {
			v.arrival.Leave()
			return a.failed(v.err)
		}
		may, known := g.mayFollow(a)
		switch {
		case v.holding == placement.Whole, v.holding == placement.Flowing && may:
			answer, err = g.hand(ctx, a, v)
			return answer, false, err
		case known && !may:
			v.arrival.Leave()
			return a.gone(), false, nil
		}
		v.arrival.Leave()
		if _, err := a.waiting.wait(ctx, nil, v.changed); err != nil {
			return Answer{}, false, err
		}
	}
}

// mayFollow reports whether the asker may wait for the reception: its own must
// stand on a higher rung. It is not known while the reception looks for its seat.
func (g *trees) mayFollow(a *asked) (may, known bool) {
	if a.reception == nil || a.reception.way == fromLocal {
		return true, true
	}
	g.arrivals.mu.Lock()
	defer g.arrivals.mu.Unlock()
	at := a.reception.rung
	return at != noRung && at < ringRung+rung(a.ask.Hops), at != noRung
}

// hand waits for a place on the wire. The view's reference goes to the answer.
func (g *trees) hand(ctx context.Context, a *asked, v view) (Answer, error) {
	place, err := g.sends.enter(ctx, a.waiting, v.arrival)
	if err != nil {
		v.arrival.Leave()
		return Answer{}, err
	}
	size := v.arrival.Size()
	if a.ask.Offset < 0 || a.ask.Offset > size {
		g.sends.exit(place)
		v.arrival.Leave()
		return a.gone(), nil
	}
	h := &handing{trees: g, child: a.ask.Reader, source: v.arrival, place: place, want: size - a.ask.Offset, started: time.Now()}
	h.reception, a.reception = a.reception, nil // a user until it is sent
	h.busy = g.rate.began(h.started)
	answer := Answer{
		Reply:  placement.Reply{Verdict: placement.Serve, Epoch: a.ring.Epoch()},
		From:   block.Peer,
		Source: v.arrival,
		Done:   h.done,
	}
	switch {
	case v.holding == placement.Flowing:
		answer.Depth = v.depth + 1
	case !a.block.IsZero():
		answer.From = a.block.From
	}
	return answer, nil
}

// A handing is one block on its way to a child.
type handing struct {
	*trees
	child     string
	source    *block.Arrival
	place     *place     // on the wire
	reception *reception // of which it is a user; nil when the block is whole
	want      int        // bytes to send
	started   time.Time
	busy      time.Duration // of the uplink until then
	over      atomic.Bool
}

// done is the Done of an [Answer].
func (h *handing) done(sent int, err error) {
	if h.over.Swap(true) {
		return
	}
	now := time.Now()
	h.rate.ended(sent, h.busy, now.Sub(h.started), now)
	c := &h.peers.get(h.child).counts
	if err == nil && sent >= h.want {
		c.sent.Add(1)
		h.stats.sending.Add(int64(now.Sub(h.started)))
		h.counts.handed.Add(1)
		c.sentBytes.whole.Add(uint64(sent))
	} else {
		c.sentBytes.broken.Add(uint64(max(sent, 0)))
	}
	h.sends.exit(h.place)
	h.source.Leave()
	if h.reception != nil {
		h.arrivals.leave(h.reception)
	}
}
