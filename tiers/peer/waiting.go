package peer

import (
	"context"
	"time"
)

// A peer that waits is told so at once, so that it knows that this node lives,
// but not for the time a read of a disk takes; then about ten times a second.
const (
	waitGrace   = time.Millisecond
	queuedEvery = 100 * time.Millisecond
)

// A waiting is the time one asker spends here without an answer.
type waiting struct {
	told   func() error    // says that it must wait; nil: nobody can be told
	ending context.Context //nolint:containedctx // of the tier
	next   time.Duration
}

func (t *Tier) waiting(told func() error) *waiting {
	return &waiting{told: told, ending: t.ending, next: waitGrace}
}

// wait waits for one of the channels or the next time the asker has been told
// that it must wait, whichever is first. It reports whether it was turn. The
// error says that the asker has gone, or the tier ends.
func (w *waiting) wait(ctx context.Context, turn, changed <-chan struct{}) (bool, error) {
	timer := time.NewTimer(w.next)
	defer timer.Stop()
	select {
	case <-turn:
		return true, nil
	case <-changed:
		return false, nil
	case <-timer.C:
		w.next = queuedEvery
		if w.told != nil {
			return false, w.told()
		}
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	case <-w.ending.Done():
		return false, errClosed
	}
}
