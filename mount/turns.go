package mount

import (
	"context"
	"sync"
)

// turns is the source of a file that outlives its mounts: each mount brings a
// source of its own, with its own right to read.
type turns struct {
	mu  sync.Mutex
	now *turn
}

// A turn is a source, and who reads it. turns.mu guards it.
type turn struct {
	Source
	readers int
	over    func() // called once it has been replaced and nobody reads it; nil: it was not replaced
}

var _ Source = (*turns)(nil)

func newTurns(src Source) *turns { return &turns{now: &turn{Source: src}} }

// Size implements Source.
func (t *turns) Size() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now.Size()
}

// ReadAtContext implements Source.
func (t *turns) ReadAtContext(ctx context.Context, p []byte, off int64) (int, error) {
	t.mu.Lock()
	now := t.now
	now.readers++
	t.mu.Unlock()
	defer t.leave(now)
	return now.ReadAtContext(ctx, p, off)
}

func (t *turns) leave(was *turn) {
	t.mu.Lock()
	was.readers--
	over := was.over
	last := was.readers == 0 && over != nil
	t.mu.Unlock()
	if last {
		over()
	}
}

// next has src read from now on, and calls over, once, when nobody reads the source
// before any more.
func (t *turns) next(src Source, over func()) {
	t.mu.Lock()
	was := t.now
	t.now = &turn{Source: src}
	was.over = over
	idle := was.readers == 0
	t.mu.Unlock()
	if idle {
		over()
	}
}
