package disk

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/zonecache/cached/block"
)

// What whoever watches a tier asks of it one by one; see [Tier.Stats] for all.

// Evictions returns how many blocks were dropped to make room.
func (t *Tier) Evictions() int64 { return t.counters.evicted.Load() }

// Evicted reports whether the tier had a block, and dropped it lately to make room: it
// remembers about as many as it can hold, since it was opened.
func (t *Tier) Evicted(id block.ID) bool {
	return t.writer != nil && t.writer.policy.Ghost.Remembers(id) && !t.Has(id)
}

// Declines returns how many offered blocks were not accepted, for any reason.
func (t *Tier) Declines() int64 {
	c := &t.counters
	return c.declinedFull.Load() + c.declinedSick.Load() + c.declinedBudget.Load()
}

// Declined returns the same by reason: too much on its way, a disk that refuses
// writes, a spent write budget.
func (t *Tier) Declined() map[string]int64 {
	c := &t.counters
	return map[string]int64{"busy": c.declinedFull.Load(), "sick": c.declinedSick.Load(), "write_budget": c.declinedBudget.Load()}
}

// Oldest returns when the oldest of what the tier holds was written, to a segment;
// the zero time when it holds none. A hot block that was written once more counts
// from then.
func (t *Tier) Oldest() time.Time {
	var oldest time.Time
	for _, s := range t.segments.all() {
		if oldest.IsZero() || s.since.Before(oldest) {
			oldest = s.since
		}
	}
	return oldest
}

// BytesWritten returns the bytes written to segments, rewritten ones included.
func (t *Tier) BytesWritten() int64 { return t.counters.bytesWritten.Load() }

// BytesRewritten returns how many of the bytes written were those of hot blocks
// that lived on when their segment was reclaimed.
func (t *Tier) BytesRewritten() int64 { return t.counters.bytesRewritten.Load() }

// WriteErrors returns how often the disk refused a write.
func (t *Tier) WriteErrors() int64 { return t.counters.writeErrors.Load() }

// Lost returns how many blocks were given up: accepted and refused by the
// disk, or in a segment that is gone.
func (t *Tier) Lost() int64 { return t.counters.lost.Load() }

// Sick says why the tier declines what it is offered and what that means for
// reads, in words for an operator; nil when it is well.
func (t *Tier) Sick() error {
	if t.index.failed.Load() {
		return errors.New("the index is damaged; every read is a miss until the next start, which begins empty")
	}
	if t.readOnly {
		return fmt.Errorf("%w; reads go on", syscall.EROFS)
	}
	if t.noRoom.Load() {
		return fmt.Errorf("no room for a segment above the %d MiB that are to stay free; new blocks are not kept, reads go on", t.opts.MinFree>>20)
	}
	if err := t.health.why(); err != nil {
		return fmt.Errorf("writing refused by the disk: %w; reads go on", err)
	}
	return nil
}
