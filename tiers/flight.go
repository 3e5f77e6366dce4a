package tiers

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/zonecache/cached/block"
)

// Flight returns a Reader that shares one read of next among all who want the
// same block at the same time. The read runs detached from its readers: one
// reader's cancellation never fails another, and when the last one has left, the
// read itself is cancelled. It carries the context values of the reader who came
// first; its deadlines are those of next.
func Flight(next block.Reader) block.Reader { return CountedFlight(next, new(atomic.Int64)) }

// CountedFlight is Flight that counts who joined a read in progress.
func CountedFlight(next block.Reader, joined *atomic.Int64) block.Reader {
	return &flights{next: next, joined: joined, open: map[block.ID]*flight{}}
}

type flights struct {
	next   block.Reader
	joined *atomic.Int64

	mu   sync.Mutex
	open map[block.ID]*flight
}

// A flight is one read in progress. flights.mu guards readers and landed; once
// done is closed each remaining reader owns one reference to result.
type flight struct {
	cancel  context.CancelFunc
	urgency *block.Urgency // nil: somebody has waited from the start
	readers int
	landed  bool

	done   chan struct{}
	result block.Block
	err    error
}

func (f *flights) ReadBlock(ctx context.Context, id block.ID) (block.Block, error) {
	if err := ctx.Err(); err != nil {
		return block.Block{}, err
	}
	fl := f.join(ctx, id)
	select {
	case <-fl.done:
		return fl.result, fl.err
	case <-ctx.Done():
	}
	if f.leave(id, fl) {
		return block.Block{}, ctx.Err()
	}
	// It landed first, so a reference to its result is ours already.
	<-fl.done
	return fl.result, fl.err
}

func (f *flights) join(ctx context.Context, id block.ID) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl, ok := f.open[id]; ok {
		fl.readers++
		f.joined.Add(1)
		if fl.urgency != nil {
			fl.hurry(block.CallFrom(ctx))
		}
		return fl
	}
	detached, cancel := context.WithCancel(detach(ctx))
	fl := &flight{cancel: cancel, readers: 1, done: make(chan struct{}), urgency: block.CallFrom(detached).Urgency}
	f.open[id] = fl
	go f.fly(detached, id, fl)
	return fl
}

// hurry makes a flight urgent for one who joins it and waits, or may later.
func (fl *flight) hurry(call block.Call) {
	if call.Cause == block.Demand {
		fl.urgency.Raise()
	} else {
		call.Urgency.Raises(fl.urgency)
	}
}

// detach returns a context for a read that others may join.
func detach(ctx context.Context) context.Context {
	until, ok := block.Deadline(ctx)
	ctx = context.WithoutCancel(ctx)
	call := block.CallFrom(ctx)
	mayHurry := call.Cause != block.Demand && call.Urgency == nil
	if !ok && !mayHurry {
		return ctx
	}
	if ok {
		call.Until = until
	}
	if mayHurry {
		call.Urgency = new(block.Urgency)
	}
	return block.WithCall(ctx, call)
}

// leave gives up one reader's place and reports whether it could: after landing
// the reader has been given a reference and must take it.
func (f *flights) leave(id block.ID, fl *flight) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl.landed {
		return false
	}
	fl.readers--
	if fl.readers == 0 {
		// Whoever comes now must not join a read that is being cancelled.
		delete(f.open, id)
		fl.cancel()
	}
	return true
}

func (f *flights) fly(ctx context.Context, id block.ID, fl *flight) {
	b, err := f.next.ReadBlock(ctx, id)
	f.mu.Lock()
	fl.landed = true
	if f.open[id] == fl {
		delete(f.open, id)
	}
	readers := fl.readers
	f.mu.Unlock()

	fl.result, fl.err = b, err
	if err == nil {
		for range readers - 1 {
			b.Retain()
		}
		if readers == 0 {
			b.Release()
		}
	}
	fl.cancel()
	close(fl.done)
}
