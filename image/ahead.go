package image

import (
	"context"
	"io"
	"sync"

	"github.com/zonecache/cached/block"
)

// An ahead reads the blocks of a range in parallel and hands them out in order.
// The queue of promises bounds how many are read or waiting to be written.
type ahead struct {
	queue chan chan stretch
	wg    sync.WaitGroup
}

// A stretch is the part of one decoded block that lies in the range, or why it
// could not be had.
type stretch struct {
	b        block.Block
	from, to int64
	err      error
}

func (s stretch) bytes() []byte { return s.b.Bytes()[s.from:s.to] }

func (s stretch) release() { s.b.Release() }

// readAhead starts reading length bytes from off on, which the image has.
func (r *Reader) readAhead(ctx context.Context, off, length int64) *ahead {
	a := &ahead{queue: make(chan chan stretch, r.opts.Parallel)}
	a.wg.Go(func() {
		defer close(a.queue)
		i, from := r.m.Locate(off)
		for ; length > 0; i++ {
			ref := r.m.Blocks[i]
			to := min(int64(ref.Length), from+length)
			promise := make(chan stretch, 1)
			select {
			case a.queue <- promise:
			case <-ctx.Done():
				return
			}
			s := stretch{from: from, to: to}
			a.wg.Go(func() {
				s.b, s.err = r.Decoded(ctx, ref)
				promise <- s
			})
			length -= to - from
			from = 0
		}
	})
	return a
}

// next returns the next stretch, which the caller releases, and io.EOF behind
// the last.
func (a *ahead) next() (stretch, error) {
	promise, ok := <-a.queue
	if !ok {
		return stretch{}, io.EOF
	}
	s := <-promise
	return s, s.err
}

// close ends the reading and releases what nobody took.
func (a *ahead) close(cancel context.CancelFunc) {
	cancel()
	for promise := range a.queue {
		s := <-promise
		s.b.Release()
	}
	a.wg.Wait()
}
