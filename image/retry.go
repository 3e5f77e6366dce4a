package image

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/zonecache/cached/block"
)

// Retry bounds how often a request to the target is repeated. The pause before
// the n-th repetition is random up to First times 2^n, at most Longest.
type Retry struct {
	Attempts int           // in all; default 5
	First    time.Duration // default 100 ms
	Longest  time.Duration // default 5 s
}

func (r Retry) withDefaults() Retry {
	if r.Attempts <= 0 {
		r.Attempts = 5
	}
	if r.First <= 0 {
		r.First = 100 * time.Millisecond
	}
	if r.Longest <= 0 {
		r.Longest = 5 * time.Second
	}
	return r
}

func (r Retry) pause(failed int) time.Duration {
	limit := r.Longest
	if failed < 30 {
		limit = min(limit, r.First<<failed)
	}
	return limit/2 + rand.N(limit/2+1)
}

// retry calls op until it succeeds, ctx ends, the error is one that time does
// not heal, or the attempts are used up.
func (o PublishOptions) retry(ctx context.Context, what string, op func() error) error {
	for failed := 0; ; failed++ {
		err := op()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			return fmt.Errorf("%s: the origin is full: make room there and publish again, what has arrived is not sent twice: %w", what, err)
		}
		passing := errors.Is(err, block.ErrUnavailable) || errors.Is(err, block.ErrOverloaded)
		switch {
		case !passing && failed == 0:
			return fmt.Errorf("%s: %w", what, err)
		case !passing || failed+1 >= o.Retry.Attempts:
			return fmt.Errorf("%s: attempt %d of %d: %w", what, failed+1, o.Retry.Attempts, err)
		}
		pause := o.Retry.pause(failed)
		o.Logger.WarnContext(ctx, "publish: request failed, trying again", "request", what, "attempt", failed+1, "pause", pause, "error", err)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}
