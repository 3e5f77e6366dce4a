package peer

import (
	"context"
	"errors"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// bring brings a block into a reception: from the parent in the tree of the image
// that is read, or by the ring, where this node is the root or its parent fails.
func (g *trees) bring(ctx context.Context, r *reception) error {
	image := block.CallFrom(ctx).Image
	seat, ok := g.seats.take(ctx, image)
	if !ok || seat.Level == 0 {
		g.arrivals.stand(r, ringRung)
		return g.walk(ctx, r)
	}
	w := g.newWalk(r)
	parent, ok := w.ring.Member(seat.Parent)
	if !ok || !g.mayAsk(parent.Name) {
		g.counts.fallbacks.Add(1)
		g.seats.complain(image, seat.Parent)
		g.arrivals.stand(r, ringRung)
		next, err := w.owner("")
		return w.run(ctx, next, err)
	}
	next, done, err := g.ask(ctx, w, image, step{
		to: parent, ask: placement.Ask{Kind: placement.Climb, Hops: uint8(seat.Level)},
	})
	switch {
	case done:
		return nil
	case ctx.Err() != nil: // perhaps only now: the answer itself was no error
		return ctx.Err()
	}
	g.counts.fallbacks.Add(1)
	g.arrivals.stand(r, ringRung)
	return w.run(ctx, next, err)
}

// ask asks the parent. It returns that the block is here, or the first step by
// the ring, which takes up what the parent has sent.
func (g *trees) ask(ctx context.Context, w *walk, image string, s step) (next step, done bool, err error) {
	g.arrivals.stand(w.reception, ringRung+rung(s.ask.Hops))
	g.arrivals.from(w.reception, s.to.Name, s.ask.Hops)
	g.counts.climbs.Add(1)
	into := w.arrival()
	reply, err := g.fetch(ctx, s.to, s.ask, into)
	if into.Have() > 0 {
		w.sources = append(w.sources, s.to.Name)
	}
	switch {
	case err == nil && reply.Verdict == placement.Serve:
		next, done, err = w.finish(into, s.to, reply, 0) // in a tree a wait may be for nothing
		if done {
			g.counts.climbed.Add(1)
			g.seats.served(image)
			return next, true, nil
		}
		g.seats.complain(image, s.to.Name) // wrong bytes
	case err == nil:
		g.seats.doubt(image)
		next, err = w.owner("")
	case ctx.Err() != nil:
		return step{}, false, ctx.Err()
	case errors.Is(err, block.ErrUnavailable):
		if errors.Is(err, errBrokeOff) {
			g.seats.brokeOff(image, s.to.Name)
		} else {
			g.seats.complain(image, s.to.Name)
		}
		next, err = w.died(s)
	case errors.Is(err, block.ErrCorrupt) && into.Size() >= 0:
		g.seats.complain(image, s.to.Name)
		next, err = w.again(into, err)
	default: // its parents may be wrong about the block; the owner knows
		next, err = w.owner("")
	}
	return next, false, err
}

// stand notes the rung of a reception.
func (a *arrivals) stand(r *reception, at rung) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r.rung = at
}
