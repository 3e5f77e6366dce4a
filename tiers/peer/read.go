package peer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zonecache/cached/block"
)

// ReadBlock implements [block.Reader]: it reads the block from the zone.
// It is ErrNotFound at once when no other node answers for it, and
// ErrUnavailable when the others cannot be read from, or not in time.
//
// The read goes on without its reader while peers follow it.
func (t *Tier) ReadBlock(ctx context.Context, id block.ID) (block.Block, error) {
	if err := ctx.Err(); err != nil {
		return block.Block{}, err
	}
	if t.Owns(id) {
		return block.Block{}, errMine
	}
	r := t.arrivals.join(id, func() *reception { return t.receive(ctx, id) })
	if r == nil {
		return block.Block{}, errClosed
	}
	defer t.arrivals.leave(r)
	if r.way == fromLocal {
		return block.Block{}, errMine // this node stands in for the owner
	}
	select {
	case <-r.done:
		return t.arrivals.result(r)
	case <-ctx.Done():
		return block.Block{}, ctx.Err()
	}
}

var errMine = fmt.Errorf("peer: no other node answers for the block: %w", block.ErrNotFound)

// vainFor is how long the others are not asked again for a block that was just
// asked for in vain: the reader goes on to the origin, without a second delay.
const vainFor = time.Second

// receive starts a reception of a block from the zone.
func (t *Tier) receive(ctx context.Context, id block.ID) *reception {
	patience := t.patience(ctx)
	ctx, cancelCause := context.WithCancelCause(context.WithoutCancel(ctx))
	cancel := func() { cancelCause(nil) }
	r := &reception{id: id, way: fromPeers, cancel: cancel, done: make(chan struct{}), arrival: block.NewArrival(id, t.opts.Pool)}
	stop := context.AfterFunc(t.ending, cancel)
	began := time.Now()
	run := func() {
		defer cancel()
		defer stop()
		watch := t.newStopwatch(r, patience, func() { cancelCause(context.DeadlineExceeded) })
		defer watch.stop()
		err := t.bring(ctx, r)
		if err != nil {
			if b := t.arrivals.adopted(r); !b.IsZero() {
				t.arrivals.replace(r, block.Arrived(b))
				t.arrivals.ended(r, nil)
				return
			}
		}
		if err != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			t.stats.budgetSpent.Add(1)
			err = fmt.Errorf("peer: read %s: not done after %v: %w (%s)", id.Short(), time.Since(began), block.ErrUnavailable, err.Error())
		}
		if err != nil && !errors.Is(context.Cause(ctx), context.Canceled) {
			t.vain.Add(id, time.Now())
		}
		t.arrivals.ended(r, err)
	}
	if !t.begin(run) {
		stop()
		cancel()
		return nil
	}
	return r
}

// budget returns how long a read may take: the origin must have as long.
func (t *Tier) budget(ctx context.Context) time.Duration {
	until, ok := block.Deadline(ctx)
	if !ok {
		return t.opts.Budget
	}
	return min(t.opts.Budget, time.Until(until)/2)
}
