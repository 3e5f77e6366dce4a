package disk

import (
	"sync"
	"sync/atomic"
	"time"
)

const maxBackoff = time.Minute

// health says whether the disk takes writes. A refused write makes the tier
// sick: it declines what it is offered and tries again after a pause that
// doubles until a commit succeeds. Reads go on all the while.
type health struct {
	sick  atomic.Bool // read by every offer
	first time.Duration

	mu    sync.Mutex
	cause error
	pause time.Duration
	until time.Time
}

// fall makes the tier sick and reports whether it was well before.
func (h *health) fall(err error, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	fresh := h.cause == nil
	h.pause = min(max(2*h.pause, h.first), maxBackoff)
	h.until = now.Add(h.pause)
	h.cause = err
	h.sick.Store(true)
	return fresh
}

// retry lets offers in again once the pause is over.
func (h *health) retry(now time.Time) {
	if !h.sick.Load() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.After(h.until) {
		h.sick.Store(false)
	}
}

// heal follows a successful commit; it reports whether the tier was sick.
func (h *health) heal() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.cause != nil
	h.cause, h.pause = nil, 0
	h.sick.Store(false)
	return was
}

// why returns the error that made the tier sick, or nil.
func (h *health) why() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cause
}
