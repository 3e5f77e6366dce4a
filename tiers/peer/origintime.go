package peer

import (
	"context"
	"sync"
	"time"

	"github.com/zonecache/cached/block"
)

// slowFor is how long a slow read of the origin is a reason to believe others that
// wait for theirs.
const slowFor = time.Minute

// originTimes are how long reads of the origin take, as far as this node knows: what
// tells a peer that waits for a slow origin from one that only says so. It knows
// its own reads, and what it waited for owners that then sent the right block. Of
// these the second longest counts, so that no peer vouches for itself.
type originTimes struct {
	mu     sync.Mutex
	began  map[*time.Time]struct{} // own reads in progress
	own    slowest
	waited map[string]slowest // by who sent the block
}

// A slowest is the longest of the times of late.
type slowest struct {
	took time.Duration
	at   time.Time // when it ended
}

func (s slowest) with(took time.Duration, now time.Time) slowest {
	if took >= s.took || s.stale(now) {
		return slowest{took: took, at: now}
	}
	return s
}

func (s slowest) stale(now time.Time) bool { return now.Sub(s.at) >= slowFor }

// Origin returns next, this node's way to the origin, and learns how long it takes.
func (t *Tier) Origin(next block.Reader) block.Reader {
	return block.ReaderFunc(func(ctx context.Context, id block.ID) (block.Block, error) {
		defer t.origin.begin()()
		return next.ReadBlock(ctx, id)
	})
}

// begin notes that a read begins, and returns what notes its end.
func (o *originTimes) begin() func() {
	began := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.began == nil {
		o.began = map[*time.Time]struct{}{}
	}
	o.began[&began] = struct{}{}
	return func() {
		now := time.Now()
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.began, &began)
		o.own = o.own.with(now.Sub(began), now)
	}
}

// proved notes that a peer let this node wait, and then sent the right block.
func (o *originTimes) proved(sender string, waited time.Duration, now time.Time) {
	if waited == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waited == nil {
		o.waited = map[string]slowest{}
	}
	o.waited[sender] = o.waited[sender].with(waited, now)
}

// longest returns how long the slowest read of late took, or has taken so far.
func (o *originTimes) longest(now time.Time) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	var first, second, own time.Duration
	for sender, s := range o.waited {
		switch {
		case s.stale(now):
			delete(o.waited, sender)
		case s.took > first:
			first, second = s.took, first
		default:
			second = max(second, s.took)
		}
	}
	if !o.own.stale(now) {
		own = o.own.took
	}
	for began := range o.began {
		own = max(own, now.Sub(*began))
	}
	return max(own, second)
}
