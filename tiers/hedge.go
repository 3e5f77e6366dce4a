package tiers

import (
	"context"
	"time"

	"github.com/zonecache/cached/block"
)

// Hedge returns a Reader that asks first, and second as well once first has
// failed or after() has passed without an answer. The first block wins, the
// other read is cancelled. When both fail, second's error is returned.
func Hedge(first, second block.Reader, after func() time.Duration) block.Reader {
	return &hedge{first, second, after}
}

type hedge struct {
	first, second block.Reader
	after         func() time.Duration
}

type hedgeResult struct {
	b   block.Block
	err error
}

func (h *hedge) ReadBlock(ctx context.Context, id block.ID) (block.Block, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	read := func(r block.Reader) <-chan hedgeResult {
		c := make(chan hedgeResult, 1)
		go func() {
			b, err := r.ReadBlock(ctx, id)
			c <- hedgeResult{b, err}
		}()
		return c
	}
	first := read(h.first)
	timer := time.NewTimer(h.after())
	defer timer.Stop()
	var early error
	select {
	case r := <-first:
		if r.err == nil {
			return r.b, nil
		}
		early, first = r.err, nil
	case <-timer.C:
	case <-ctx.Done():
		dispose(first)
		return block.Block{}, ctx.Err()
	}
	if ctx.Err() != nil {
		return block.Block{}, early
	}
	second := read(h.second)
	var last error
	for first != nil || second != nil {
		select {
		case r := <-first:
			if r.err == nil {
				dispose(second)
				return r.b, nil
			}
			first = nil
			if last == nil {
				last = r.err
			}
		case r := <-second:
			if r.err == nil {
				dispose(first)
				return r.b, nil
			}
			second, last = nil, r.err
		case <-ctx.Done():
			dispose(first)
			dispose(second)
			return block.Block{}, ctx.Err()
		}
	}
	return block.Block{}, last
}

// dispose releases what a read nobody waits for may still bring.
func dispose(c <-chan hedgeResult) {
	if c == nil {
		return
	}
	go func() {
		if r := <-c; r.err == nil {
			r.b.Release()
		}
	}()
}
