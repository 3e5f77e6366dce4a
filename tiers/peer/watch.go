package peer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/zonecache/cached/block"
)

// hurried is the silence a source may keep that others hold for dead.
const hurried = 50 * time.Millisecond

// A watch cancels a fetch whose source falls silent. A transport watches its
// connections more closely; this is for one that does not notice.
type watch struct {
	into   *block.Arrival
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	limit time.Duration
	last  sign
	since time.Time // when last was first seen
	timer *time.Timer
	ended bool
}

// A sign of life of a source.
type sign struct {
	have, waits int
	first       time.Time
}

func signOf(a *block.Arrival) sign {
	first, waits := a.Heard()
	return sign{have: a.Have(), waits: waits, first: first}
}

// newWatch begins to watch; stop must be called.
func newWatch(into *block.Arrival, limit time.Duration, cancel context.CancelCauseFunc) *watch {
	w := &watch{into: into, cancel: cancel, limit: limit, last: signOf(into), since: time.Now()}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(limit/4, w.look)
	return w
}

func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return
	}
	now := time.Now()
	if s := signOf(w.into); s != w.last {
		w.last, w.since = s, now
	}
	if now.Sub(w.since) >= w.limit {
		w.cancel(ErrStalled)
		return
	}
	w.timer.Reset(min(w.limit/4, w.limit-now.Sub(w.since)))
}

// hurry gives the source a short time from now on.
func (w *watch) hurry() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return
	}
	w.limit = min(w.limit, hurried)
	w.last, w.since = signOf(w.into), time.Now()
	w.timer.Reset(w.limit)
}

// abandon ends a fetch that waits for its first byte.
func (w *watch) abandon(why error) {
	if w.into.Size() < 0 {
		w.cancel(fmt.Errorf("%w: %w: %v", errPassedBy, block.ErrUnavailable, why)) // whatever kind why is of
	}
}

// errPassedBy marks the error of a fetch that was given up because others failed.
var errPassedBy = errors.New("peer: the node is passed by")

func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.timer.Stop()
}
