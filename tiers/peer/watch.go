package peer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/zonecache/cached/block"
)

// hurried is the silence a source may keep that others hold for dead. A node
// whose uplink is full needs as long for its next sign of life: eight blocks of
// 150 KB take 100 ms at 100 Mbit/s, and the queues of the network as long.
const hurried = 300 * time.Millisecond

// lookEvery is how often signs of life are looked for at least.
const lookEvery = 150 * time.Millisecond

// A watch cancels a fetch whose source falls silent. A transport watches its
// connections more closely; this is for one that does not notice.
type watch struct {
	into   *block.Arrival
	alive  func() // told of signs of life
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
func newWatch(into *block.Arrival, limit time.Duration, alive func(), cancel context.CancelCauseFunc) *watch {
	w := &watch{into: into, alive: alive, cancel: cancel, limit: limit, last: signOf(into), since: time.Now()}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(min(limit/4, lookEvery), w.look)
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
		w.alive()
	}
	if now.Sub(w.since) >= w.limit {
		w.cancel(ErrStalled)
		return
	}
	w.timer.Reset(min(w.limit/4, lookEvery, w.limit-now.Sub(w.since)))
}

// lastSign returns when the source's last sign of life was seen, or the watch
// began.
func (w *watch) lastSign() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.since
}

// hurry gives the source a short time from now on.
func (w *watch) hurry() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return
	}
	if w.limit <= hurried {
		return
	}
	w.limit = hurried
	w.last, w.since = signOf(w.into), time.Now()
	w.timer.Reset(w.limit)
}

// errImpatient ends a fetch that nobody waits for any more; a short silence is no
// fault of the source: this node's own link may be busy.
var errImpatient = fmt.Errorf("peer: nothing heard for a short while: %w", block.ErrUnavailable)

// abandon ends a fetch that waits for its first byte.
func (w *watch) abandon(why error) {
	if w.into.Size() < 0 {
		w.cancel(fmt.Errorf("%w: %w: %s", errPassedBy, block.ErrUnavailable, why.Error())) // whatever kind why is of
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
