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

// originTimes are how long this node's own reads of the origin take: what tells a
// peer that waits for a slow origin from one that only says so.
type originTimes struct {
	mu      sync.Mutex
	began   map[*time.Time]struct{} // of those in progress
	slowest time.Duration
	at      time.Time // when the slowest ended
}

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
		if took := now.Sub(began); took >= o.slowest || now.Sub(o.at) >= slowFor {
			o.slowest, o.at = took, now
		}
	}
}

// longest returns how long the slowest read of late took, or has taken so far.
func (o *originTimes) longest(now time.Time) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	var d time.Duration
	if now.Sub(o.at) < slowFor {
		d = o.slowest
	}
	for began := range o.began {
		d = max(d, now.Sub(*began))
	}
	return d
}
