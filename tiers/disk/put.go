package disk

import (
	"context"
	"fmt"
	"time"

	"github.com/zonecache/cached/block"
)

// putPause is how long Put waits for others' blocks to be written.
const putPause = 20 * time.Millisecond

var (
	errClosed = fmt.Errorf("tier is closed: %w", block.ErrUnavailable)
	errSpent  = fmt.Errorf("the write budget is spent: %w", block.ErrOverloaded)
)

// Put is WriteBlock for a block that is wanted here: it waits while too many bytes
// are on their way, and says why the tier does not take it. It returns nil when the
// block is here, or on its way to the disk.
//
// Errors: [block.ErrUnavailable] while the disk refuses writes or the tier is closed,
// [block.ErrOverloaded] beyond the write budget, ctx's.
func (t *Tier) Put(ctx context.Context, b block.Block) error {
	for {
		taken, err := t.put(b)
		if err != nil {
			return fmt.Errorf("disk: keep %s: %w", b.ID().Short(), err)
		}
		if taken {
			return nil
		}
		timer := time.NewTimer(putPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// put offers b once; it is not taken while the queue is full.
func (t *Tier) put(b block.Block) (taken bool, err error) {
	if b.Len() == 0 || t.Has(b.ID()) {
		return true, nil
	}
	if !t.gate.enter() {
		return false, errClosed
	}
	defer t.gate.leave()
	switch {
	case t.readOnly:
		return false, fmt.Errorf("its file system is read-only: %w", block.ErrUnavailable)
	case t.health.sick.Load():
		return false, fmt.Errorf("its disk refuses writes: %w: %w", block.ErrUnavailable, t.health.why())
	case !t.budget.allows():
		t.counters.declinedBudget.Add(1)
		return false, errSpent
	}
	return t.queue.offer(b) != full, nil
}
