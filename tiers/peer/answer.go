package peer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// Answer answers a peer's ask. While the asker must wait it calls queued, soon
// and then about ten times a second; an error of queued says that the asker has
// gone. queued may be nil.
//
// A node that owns the block, or stands in for the owner the asker has lost,
// reads it if it must; every other node gives only what it has or is receiving.
// Serve comes with a Source whose size is known and a Done that must be called;
// until then it has one of the few places on the wire.
//
// Errors: block.ErrNotFound and block.ErrCorrupt of the block, as the origin
// says; ctx's; block.ErrUnavailable once the tier is closed. An owner that cannot
// read the origin answers Gone.
func (t *Tier) Answer(ctx context.Context, id block.ID, ask placement.Ask, queued func() error) (answer Answer, err error) {
	defer func() { t.stats.answered.note(ask.Kind, answer.Verdict, err) }()
	a := &asked{Tier: t, id: id, ask: ask, ring: t.opts.Ring(), waiting: t.waiting(queued)}
	a.role = a.roleIn(a.ring)
	if ask.Epoch != 0 && ask.Epoch != a.ring.Epoch() {
		t.stats.epochMismatches.Add(1)
	}
	switch ask.Kind {
	case placement.Offer:
		t.offered(a)
		return a.gone(), nil
	case placement.Climb:
		return t.climb(ctx, a)
	}
	defer a.leave()
	if a.role == placement.Owner && a.wants() {
		t.noteHeat(a)
	}
	for {
		if err := a.find(ctx); err != nil {
			return Answer{}, err
		}
		answer, again, err := a.decide(ctx)
		if !again {
			return answer, err
		}
	}
}

// An asked is one ask that is being answered, and what it is answered from: a
// reception, or a block, or neither.
type asked struct {
	*Tier
	id      block.ID
	ask     placement.Ask
	ring    *placement.Ring
	role    placement.Role
	waiting *waiting

	reception *reception
	block     block.Block
}

// standIns is how many holders of a block may stand in for those before them.
const standIns = 8

// roleIn returns this node's role: it answers for the block if the ring says so,
// or if the asker says so, having lost one of the holders before this node.
func (a *asked) roleIn(ring *placement.Ring) placement.Role {
	owner, ok := ring.Owner(a.id)
	switch {
	case ok && owner.Name == a.opts.Node:
		return placement.Owner
	case !ok || a.ask.Lost == "" || a.ask.Kind != placement.Instead:
		return placement.Holder
	}
	// Half of the zone may be behind a partition: then the first who is left is
	// far down the list, which is dear to make.
	for _, n := range [...]int{standIns, ring.Len()} {
		lost := false
		for _, m := range ring.Holders(a.id, n) {
			switch {
			case m.Name == a.opts.Node && lost:
				return placement.Owner
			case m.Name == a.opts.Node:
				return placement.Holder
			}
			lost = lost || m.Name == a.ask.Lost
		}
	}
	return placement.Holder
}

// wants reports whether whoever answers for the block is to read it.
func (a *asked) wants() bool { return a.ask.Kind == placement.Want || a.ask.Kind == placement.Instead }

// find looks where the block is, and begins to read it where this node owns it.
func (a *asked) find(ctx context.Context) error {
	read := func() *reception { return a.readLocal(ctx, a.id) }
	if a.reception = a.arrivals.join(a.id, nil); a.reception != nil {
		if a.role == placement.Owner && a.wants() && a.ask.Lost != "" && !a.knowsBetter() {
			a.reception = a.arrivals.stepAside(a.reception, read)
		}
		return nil
	}
	b, err := a.opts.Held.ReadBlock(ctx, a.id)
	switch {
	case err == nil:
		a.block = b
	case ctx.Err() != nil:
		return ctx.Err()
	case a.role == placement.Owner && a.wants():
		a.reception = a.arrivals.join(a.id, read)
	}
	return nil
}

// knowsBetter reports whether this node may wait for its own source although the
// asker has lost one: not because it lies, it lives, as this one has heard itself,
// and nobody waits for the asker, so that no circle closes.
func (a *asked) knowsBetter() bool {
	return a.ask.Alone && !a.ask.Wrong && a.peers.get(a.ask.Lost).lives(a.opts.Silence/2)
}

// leave gives back what find found.
func (a *asked) leave() {
	if a.reception != nil {
		a.arrivals.leave(a.reception)
		a.reception = nil
	}
	a.block.Release()
	a.block = block.Block{}
}

func (a *asked) view() view {
	switch {
	case a.reception != nil:
		v := a.arrivals.view(a.reception)
		if v.source == a.ask.Reader && v.holding != placement.Whole {
			v.arrival.Leave() // it comes from the asker itself
			return view{}
		}
		return v
	case !a.block.IsZero():
		return view{holding: placement.Whole, arrival: block.Arrived(a.block.Retain())}
	}
	return view{}
}

// decide asks the desk until it does not say Wait. again is true when the block
// must be looked for elsewhere.
func (a *asked) decide(ctx context.Context) (answer Answer, again bool, err error) {
	var called <-chan struct{}
	defer func() { a.counter.left(a.id, a.ask.Reader, called) }()
	for {
		v := a.view()
		if v.err != nil {
			v.arrival.Leave()
			return a.failed(v.err)
		}
		if v.arrival == nil && a.reception == nil && a.role == placement.Owner {
			return a.gone(), false, nil // this node cannot read any more
		}
		var d placement.Decision
		d, called = a.counter.decide(placement.Request{
			Ask: a.ask, Block: a.id, Holding: v.holding, Role: a.deskRole(), Alive: a.alive,
		})
		switch d.Verdict {
		case placement.Serve:
			answer, err = a.serve(ctx, v)
			return answer, false, err
		case placement.Wait:
			v.arrival.Leave()
			if v.doubtful && a.role != placement.Owner {
				return a.gone(), false, nil // "wait" would say that the origin is waited for
			}
			if _, err := a.waiting.wait(ctx, called, v.changed); err != nil {
				return Answer{}, false, err
			}
			continue
		}
		if v.arrival != nil {
			v.arrival.Leave()
		}
		if d.Verdict == placement.Redirect {
			return Answer{Reply: placement.Reply{Verdict: placement.Redirect, To: d.To, Epoch: a.ring.Epoch()}}, false, nil
		}
		return a.gone(), false, nil
	}
}

// deskRole is the role in which the desk decides: whoever reads the block from
// another node gives what it has, also where it has become the owner meanwhile.
func (a *asked) deskRole() placement.Role {
	if a.reception != nil && a.reception.way == fromPeers {
		return placement.Holder
	}
	return a.role
}

// failed decides what becomes of an ask whose reception failed.
func (a *asked) failed(err error) (answer Answer, again bool, _ error) {
	way := a.reception.way
	a.leave()
	switch {
	case way == fromPeers && a.role == placement.Owner:
		return Answer{}, true, nil // it ends here; now this node reads it itself
	case way == fromPeers:
		return a.gone(), false, nil
	case errors.Is(err, block.ErrNotFound), errors.Is(err, block.ErrCorrupt):
		return Answer{}, false, fmt.Errorf("peer: read %s for %s: %w", a.id.Short(), a.ask.Reader, err)
	}
	return a.gone(), false, nil
}

// gone says that the block is not to be had here, and who else may have it.
func (a *asked) gone() Answer {
	owner, _ := a.ring.Owner(a.id)
	if a.role == placement.Owner {
		owner.Name = a.opts.Node
	}
	return Answer{Reply: placement.Reply{Verdict: placement.Gone, To: owner.Name, Epoch: a.ring.Epoch()}}
}

// serve waits for a place on the wire. The view's reference goes to the answer.
func (a *asked) serve(ctx context.Context, v view) (Answer, error) {
	place, err := a.places.enter(ctx, a.waiting, v.arrival)
	if err != nil {
		a.counter.ended(a.id, a.ask.Reader, placement.Broken)
		v.arrival.Leave()
		return Answer{}, err
	}
	s := &send{Tier: a.Tier, id: a.id, reader: a.ask.Reader, source: v.arrival, place: place}
	size := v.arrival.Size()
	if a.ask.Offset < 0 || a.ask.Offset > size {
		s.end(placement.Broken) // somebody sent the asker what this block is not
		return Answer{}, fmt.Errorf("peer: read %s from byte %d of %d: %w", a.id.Short(), a.ask.Offset, size, block.ErrCorrupt)
	}
	s.want = size - a.ask.Offset
	s.reception, a.reception = a.reception, nil // a user until it is sent
	s.began()
	answer := Answer{
		Reply:  placement.Reply{Verdict: placement.Serve, Epoch: a.ring.Epoch()},
		From:   block.Peer,
		Source: v.arrival,
		Done:   s.done,
	}
	switch {
	case v.holding == placement.Flowing:
		answer.Depth = v.depth + 1
	case !a.block.IsZero():
		answer.From = a.block.From
	default:
		if b, ok := v.arrival.Block(); ok {
			answer.From = b.From
			b.Release()
		}
	}
	if a.role == placement.Owner && a.wants() {
		answer.Hot = a.heat.Served(a.id, a.ask.Reader, a.hotAfter(a.ring), time.Now())
	}
	return answer, nil
}

// alive reports whether a reader can be sent to the node.
func (t *Tier) alive(node string) bool {
	m, ok := t.opts.Ring().Member(node)
	return ok && !placement.Slow(m.Rate, t.rate.typical.Load()) && t.peers.get(node).breaker.passes(time.Now()) && !t.peers.silent.has(node)
}
