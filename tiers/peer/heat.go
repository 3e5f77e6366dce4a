package peer

import (
	"context"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/tiers/peer/hot"
)

const maxPulls = 4 // of replicas at a time

// noteHeat counts an ask for a block this node owns and has the next holder take
// a replica of one that has become hot.
func (t *Tier) noteHeat(a *asked) {
	if t.heat.Asked(a.id, a.ask.Reader, t.hotAfter(a.ring), time.Now()) {
		t.begin(func() { t.offer(a.id) })
	}
}

// hotAfter returns how many readers make a block hot: in a small zone half of the
// others are enough.
func (t *Tier) hotAfter(ring *placement.Ring) int {
	return hot.After(t.opts.HotAfter, ring.Len())
}

// offer tells the next holder that a block is hot. Nothing depends on it.
func (t *Tier) offer(id block.ID) {
	holders := t.opts.Ring().Holders(id, 2)
	if len(holders) < 2 || holders[0].Name != t.opts.Node || !t.mayAsk(holders[1].Name) {
		return
	}
	t.stats.offersGiven.Add(1)
	ctx, cancel := context.WithTimeout(t.ending, t.opts.Budget)
	defer cancel()
	into := block.NewArrival(id, t.opts.Pool)
	defer into.Leave()
	_, _ = t.fetch(ctx, holders[1], placement.Ask{Kind: placement.Offer}, into)
}

// offered pulls a replica of a block whose owner says that it is hot, unless
// this node is busy with others, or does not read from the owner at the moment and
// would read the origin. Only the owner may say so.
func (t *Tier) offered(a *asked) {
	chain := t.pull.Load()
	owner, ok := a.ring.Owner(a.id)
	if chain == nil || !ok || owner.Name != a.ask.Reader || owner.Name == t.opts.Node {
		return
	}
	if state, _, _ := t.peers.get(owner.Name).breaker.state(time.Now()); state != Closed {
		return
	}
	select {
	case t.pulls <- struct{}{}:
	default:
		return
	}
	t.stats.offersTaken.Add(1)
	t.hot.Add(a.id, time.Now())
	begun := t.begin(func() {
		defer func() { <-t.pulls }()
		// It ends before its time among peers does, because the chain goes on to the
		// origin then; a deadline would only make that time shorter.
		ctx, cancel := context.WithCancel(t.ending)
		defer cancel()
		defer time.AfterFunc(t.opts.Budget/2, cancel).Stop()
		b, err := (*chain).ReadBlock(block.WithCall(ctx, block.Call{Cause: block.Repair}), a.id)
		if err == nil {
			b.Release()
		}
	})
	if !begun {
		<-t.pulls
	}
}

// closing reports whether the tier has been closed.
func (t *Tier) closing() bool { return t.ending.Err() != nil }
