package tiers

import (
	"context"
	"sync"

	"github.com/zonecache/cached/block"
)

// Limit returns a Reader that lets at most n reads into next at a time. Those who
// wait are let in by cause, demand before prefetch before repair, and in order of
// arrival within a cause. n must be positive.
func Limit(next block.Reader, n int) block.Reader {
	return &limit{next: next, free: n}
}

type limit struct {
	next block.Reader

	mu      sync.Mutex
	free    int
	waiting [len(block.Causes)][]chan struct{}
}

func (l *limit) ReadBlock(ctx context.Context, id block.ID) (block.Block, error) {
	if err := l.enter(ctx); err != nil {
		return block.Block{}, err
	}
	defer l.exit()
	return l.next.ReadBlock(ctx, id)
}

func (l *limit) enter(ctx context.Context) error {
	cause := min(int(block.CallFrom(ctx).Cause), len(block.Causes)-1)
	l.mu.Lock()
	if l.free > 0 {
		l.free--
		l.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	l.waiting[cause] = append(l.waiting[cause], turn)
	l.mu.Unlock()

	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	for i, w := range l.waiting[cause] {
		if w == turn {
			l.waiting[cause] = append(l.waiting[cause][:i], l.waiting[cause][i+1:]...)
			l.mu.Unlock()
			return ctx.Err()
		}
	}
	l.mu.Unlock()
	l.exit() // our turn came at the same moment: pass it on
	return ctx.Err()
}

func (l *limit) exit() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for cause := range l.waiting {
		if q := l.waiting[cause]; len(q) > 0 {
			close(q[0])
			l.waiting[cause] = q[1:]
			return
		}
	}
	l.free++
}
