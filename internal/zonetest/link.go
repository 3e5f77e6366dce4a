package zonetest

import (
	"context"
	"sync"
	"time"
)

// A link is one direction of a network card: chunks leave it one after the
// other at its rate, whoever sent them, which shares it fairly among transfers
// that each have a chunk in line.
type link struct {
	mu   sync.Mutex
	rate float64 // bytes a second; 0: no limit
	free time.Time
}

// reserve returns when n bytes that are put in line now have passed.
func (l *link) reserve(n int) time.Time {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rate <= 0 {
		return now
	}
	if l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(float64(n) / l.rate * float64(time.Second)))
	return l.free
}

func (l *link) setRate(bytesPerSecond float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rate = bytesPerSecond
}

// until waits for a moment or the end of ctx.
func until(ctx context.Context, at time.Time) error { return pause(ctx, time.Until(at)) }

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
