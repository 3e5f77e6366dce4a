package origin

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

var (
	errStalled = errors.New("nothing moved for too long")
	errTotal   = errors.New("all attempts together took too long")
)

// An attempt is one request to a store. It is given up when nothing moves for
// the stall time-out: connecting, waiting for the answer, or within its body.
type attempt struct {
	stall time.Duration
	timer *time.Timer
}

// moved notes progress.
func (a *attempt) moved() { a.timer.Reset(a.stall) }

// A pulse knows when a store last did what it was asked to.
type pulse struct{ last atomic.Int64 } // nanoseconds after began; zero: never

// began is what times are counted from, on a clock that does not jump.
var began = time.Now()

func (p *pulse) beat() { p.last.Store(int64(time.Since(began))) }

// within reports whether the last beat was not longer ago than d.
func (p *pulse) within(d time.Duration) bool {
	last := p.last.Load()
	return last > 0 && time.Since(began)-time.Duration(last) <= d
}

// do runs op until it succeeds, fails for good, or has used up the attempts its
// kind of failure is worth. The error it returns has a kind of package block,
// or is that of the caller's context. A deadline that passes between attempts
// yields the last attempt's error, which says more.
func (b *bucket) do(ctx context.Context, op func(ctx context.Context, a *attempt) error) error {
	total, cancel := context.WithTimeoutCause(ctx, b.timeouts.Total, errTotal)
	defer cancel()
	var f fault
	for n := 1; ; n++ {
		err := b.attempt(total, op)
		switch {
		case err == nil:
			b.pulse.beat()
			return nil
		case errors.Is(ctx.Err(), context.DeadlineExceeded) && f.err != nil:
			return f.err
		case ctx.Err() != nil:
			return ctx.Err()
		}
		f = b.explain(err)
		if n >= f.attempts || !sleep(total, backoff(n)) {
			return f.err
		}
	}
}

func (b *bucket) attempt(ctx context.Context, op func(ctx context.Context, a *attempt) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a := &attempt{stall: b.timeouts.Stall}
	a.timer = time.AfterFunc(a.stall, func() { cancel(errStalled) })
	defer a.timer.Stop()
	err := op(ctx, a)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// backoff returns how long to wait after the n-th attempt, at most 1.6 s, half of
// it by chance. The library adds up to 200 ms of its own after an attempt that
// it would have repeated.
func backoff(n int) time.Duration {
	d := 50 * time.Millisecond << min(n-1, 5)
	return d/2 + rand.N(d/2)
}

// sleep waits for d. It reports false, at once, when ctx would end before: the
// caller then still has the time to hear why.
func sleep(ctx context.Context, d time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		// The next attempt fails at once and reports the context's error.
		return true
	}
}
