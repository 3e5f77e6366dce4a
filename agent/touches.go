package agent

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/zonecache/cached/api"
)

// Touches are sent together, not each for itself.
const (
	touchesEvery = 100 * time.Millisecond
	touchesLate  = 2 * time.Second // a daemon that takes longer is told nothing
)

// touches tells the daemon which blocks a program asked for that this agent had
// read ahead on its own: it learns what starts read, and has seen nobody ask.
type touches struct {
	daemon  *api.Client
	session string // "": nobody is told

	sending sync.Mutex // one report after the other: whoever has flushed has been heard

	mu     sync.Mutex
	blocks []uint32
	timer  *time.Timer // nil: nothing waits
	closed bool        // nobody wants to hear more
	sent   sync.WaitGroup
}

func (t *touches) add(i int) {
	if t.session == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	t.blocks = append(t.blocks, uint32(i))
	if t.timer == nil {
		t.sent.Add(1)
		t.timer = time.AfterFunc(touchesEvery, func() {
			defer t.sent.Done()
			t.flush()
		})
	}
}

// flush sends what waits, and returns when the daemon has that and what was sent
// before. That a daemon did not hear of it costs little.
func (t *touches) flush() {
	t.sending.Lock()
	defer t.sending.Unlock()
	t.mu.Lock()
	blocks := t.blocks
	t.blocks = nil
	if t.timer != nil && t.timer.Stop() {
		t.sent.Done()
	}
	t.timer = nil
	t.mu.Unlock()
	if len(blocks) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), touchesLate)
	defer cancel()
	if over, err := t.daemon.NoteTouches(ctx, t.session, blocks); over || errors.Is(err, api.ErrNotFound) {
		t.mu.Lock()
		t.closed = true
		t.mu.Unlock()
	}
}

// close sends what waits, and nothing more.
func (t *touches) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.flush()
	t.sent.Wait()
}
