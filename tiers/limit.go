package tiers

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/zonecache/cached/block"
)

// Limit returns a Reader that lets at most n reads into next at a time. Those who
// wait are let in by cause, demand before prefetch before repair, and in order of
// arrival within a cause; a read that becomes urgent while it waits is a demand from
// then on. n must be positive.
func Limit(next block.Reader, n int) block.Reader {
	return &limit{next: next, places: n}
}

// Background returns a Reader that lets at most n reads that no program waits for
// into next at a time, as Limit does, and demand at once.
func Background(next block.Reader, n int) block.Reader {
	behind := Limit(next, n)
	return block.ReaderFunc(func(ctx context.Context, id block.ID) (block.Block, error) {
		if block.CallFrom(ctx).Cause == block.Demand {
			return next.ReadBlock(ctx, id)
		}
		return behind.ReadBlock(ctx, id)
	})
}

// Govern is Limit that finds its n by itself, from least to most, by how long
// reads take: many hosts that share an origin must not queue there what each
// could wait for at home, where demand goes first. See [pace].
func Govern(next block.Reader, least, most int) block.Reader {
	least = min(least, most)
	return &limit{next: next, places: max(least, min(firstPlaces, most)), pace: &pace{least: least, most: most}}
}

type limit struct {
	next block.Reader

	mu      sync.Mutex
	places  int
	inside  int
	waiting [len(block.Causes)][]chan struct{}
	pace    *pace // nil: places stay
}

func (l *limit) ReadBlock(ctx context.Context, id block.ID) (block.Block, error) {
	if err := l.enter(ctx); err != nil {
		return block.Block{}, err
	}
	began := time.Now()
	b, err := l.next.ReadBlock(ctx, id)
	l.exit(func() {
		switch {
		case l.pace == nil:
		case err == nil:
			l.places = l.pace.took(time.Since(began), l.inside, l.places, time.Now())
		case errors.Is(err, block.ErrUnavailable), errors.Is(err, block.ErrOverloaded):
			l.places = l.pace.failed(l.places)
		}
	})
	return b, err
}

func (l *limit) enter(ctx context.Context) error {
	call := block.CallFrom(ctx)
	cause := min(int(call.Cause), len(block.Causes)-1)
	l.mu.Lock()
	if l.inside < l.places {
		l.inside++
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
	case <-call.Urgency.Raised():
		l.mu.Lock()
		if l.takeOutLocked(cause, turn) {
			cause = int(block.Demand)
			l.waiting[cause] = append(l.waiting[cause], turn)
		}
		l.mu.Unlock()
		select {
		case <-turn:
			return nil
		case <-ctx.Done():
		}
	}
	l.mu.Lock()
	gone := l.takeOutLocked(cause, turn)
	l.mu.Unlock()
	if !gone {
		l.exit(func() {}) // our turn came at the same moment: pass it on
	}
	return ctx.Err()
}

// takeOutLocked ends a wait; false when its turn has come.
func (l *limit) takeOutLocked(cause int, turn chan struct{}) bool {
	i := slices.Index(l.waiting[cause], turn)
	if i < 0 {
		return false
	}
	l.waiting[cause] = slices.Delete(l.waiting[cause], i, i+1)
	return true
}

// exit gives a place back, after learn has said how many there are now, and lets
// in those who fit.
func (l *limit) exit(learn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	learn()
	l.inside--
	for cause := range l.waiting {
		for len(l.waiting[cause]) > 0 && l.inside < l.places {
			close(l.waiting[cause][0])
			l.waiting[cause] = l.waiting[cause][1:]
			l.inside++
		}
	}
}
