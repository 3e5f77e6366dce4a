package prefetch

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/zonecache/cached/block"
)

// How often a block is tried to be warmed, and the pause between.
const (
	warmTries = 3
	warmPause = time.Second
)

// Warm reads blocks for no program, so that this host or its zone has them: n at a
// time, behind all other reads, each up to three times. It calls done after each
// block, one call at a time. The error is that of the first block that could not be
// had; the others that were under way end first.
func Warm(ctx context.Context, reader block.Reader, blocks []Block, n int, done func(Block)) error {
	call := block.CallFrom(ctx)
	call.Cause = block.Repair
	ctx, cancel := context.WithCancelCause(block.WithCall(ctx, call))
	defer cancel(nil)
	var mu sync.Mutex
	var work sync.WaitGroup
	next := make(chan Block)
	for range max(1, n) {
		work.Go(func() {
			for b := range next {
				if err := warmOne(ctx, reader, b.ID); err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				done(b)
				mu.Unlock()
			}
		})
	}
	for _, b := range blocks {
		select {
		case next <- b:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	work.Wait()
	return context.Cause(ctx)
}

func warmOne(ctx context.Context, reader block.Reader, id block.ID) (err error) {
	for try := range warmTries {
		if try > 0 {
			timer := time.NewTimer(warmPause << try)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return err
			}
		}
		var b block.Block
		if b, err = reader.ReadBlock(ctx, id); err == nil {
			b.Release()
			return nil
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, block.ErrNotFound), errors.Is(err, block.ErrCorrupt):
			return err // it stays so
		}
	}
	return err
}
