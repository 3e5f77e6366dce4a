package disk

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/zonecache/cached/block"
)

// maxAbandoned bounds the reads that nobody waits for any more: each holds a
// goroutine, a thread and a buffer for as long as the disk pleases.
const maxAbandoned = 64

var errHung = fmt.Errorf("the disk does not answer: %w", block.ErrUnavailable)

// A boundedRead is a read of index and disk by a goroutine of its own, because
// a disk that hangs does not heed a context. Whoever asked waits for a while;
// then the read is abandoned, and gives back its buffer when the disk lets it go.
type boundedRead struct {
	tier   *Tier
	id     block.ID
	state  atomic.Uint32
	answer chan struct{} // closed once b and err are there
	b      block.Block
	err    error
}

const (
	reading uint32 = iota
	answered
	abandoned
)

// readDisk looks id up and reads it, within the time of [Options] and ctx. It
// leaves the gate, which its caller entered, when the disk is done with.
func (t *Tier) readDisk(ctx context.Context, id block.ID) (block.Block, error) {
	if t.abandoned.Load() >= maxAbandoned {
		t.gate.leave()
		t.counters.readErrors.Add(1)
		return block.Block{}, errHung
	}
	r := &boundedRead{tier: t, id: id, answer: make(chan struct{})}
	late := t.lateness.late()
	go r.run()
	var err error
	select {
	case <-r.answer:
		return r.b, r.err
	case <-ctx.Done():
		err = ctx.Err()
	case <-late:
		err = errHung
	}
	if !r.state.CompareAndSwap(reading, abandoned) {
		<-r.answer // at this very moment
		return r.b, r.err
	}
	t.abandoned.Add(1)
	if errors.Is(err, errHung) {
		t.counters.readErrors.Add(1)
	}
	return block.Block{}, err
}

func (r *boundedRead) run() {
	defer r.tier.gate.leave()
	r.b, r.err = r.tier.search(r.id)
	if r.state.CompareAndSwap(reading, answered) {
		close(r.answer)
		return
	}
	r.b.Release()
	r.tier.abandoned.Add(-1)
}
