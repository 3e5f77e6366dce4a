package block

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// heldBack is how many of a block's last bytes readers get only once the whole
// block has been verified. A node that passes a block on while it still arrives
// can therefore never complete a wrong one: whoever receives all the bytes of a
// block that is wrong knows who made them up.
const heldBack = 4 << 10

// An Arrival is a block on its way into this node: memory that fills from the
// front while others read behind it. One writer fills it (Begin, Space, Advance,
// then Finish or Fail); a broken transfer may be taken up by another writer
// where it stopped. Any number of readers follow it with Next.
//
// The Arrival is counted like a Block: whoever holds it has one reference, Join
// adds one, Leave gives one back. Slices that Space and Next return are valid
// while the caller holds its reference.
type Arrival struct {
	id   ID
	pool *Pool

	mu      sync.Mutex
	refs    int
	buf     *Buffer // nil before Begin and once sealed
	size    int     // of the block; -1 until Begin
	have    int
	ended   bool
	block   Block         // once finished
	err     error         // once failed
	changed chan struct{} // nil unless somebody waits
	source  source
	waited  time.Duration
}

// NewArrival returns an arrival of the block id, with one reference.
func NewArrival(id ID, pool *Pool) *Arrival {
	return &Arrival{id: id, pool: pool, refs: 1, size: -1}
}

// Arrived returns an arrival that is complete: b, whose reference it takes over.
func Arrived(b Block) *Arrival {
	return &Arrival{id: b.ID(), refs: 1, size: b.Len(), have: b.Len(), ended: true, block: b}
}

// ID returns the name of the block.
func (a *Arrival) ID() ID { return a.id }

// Begin states the block's size, at most MaxSize. A writer that takes up a
// broken transfer states it again; a different one is an error.
func (a *Arrival) Begin(size int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.source.heard()
	switch {
	case a.ended:
		return fmt.Errorf("arrival of %s: it has ended", a.id.Short())
	case size < 0 || size > MaxSize:
		return fmt.Errorf("arrival of %s: %d bytes, a block has at most %d: %w", a.id.Short(), size, MaxSize, ErrCorrupt)
	case a.size >= 0 && a.size != size:
		return fmt.Errorf("arrival of %s: %d bytes, began with %d: %w", a.id.Short(), size, a.size, ErrCorrupt)
	case a.size < 0:
		a.size, a.buf = size, a.pool.Get(size)
		if a.source.waits > 0 {
			a.waitedLocked()
		}
		a.wakeLocked()
	}
	return nil
}

// Size returns the block's size, or -1 before Begin.
func (a *Arrival) Size() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.size
}

// Have returns how many bytes have arrived.
func (a *Arrival) Have() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.have
}

// Space returns the memory that the bytes still to come belong in. Only the
// writer may call it, after Begin.
func (a *Arrival) Space() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.buf == nil {
		return nil
	}
	return a.buf.Bytes()[a.have:]
}

// Advance says that the writer has filled the next n bytes.
func (a *Arrival) Advance(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n < 0 || a.have+n > a.size {
		panic(fmt.Sprintf("block: arrival of %d bytes advanced by %d from %d", a.size, n, a.have))
	}
	a.have += n
	a.wakeLocked()
}

// Restart fails the arrival, after some of its bytes proved wrong, and returns
// an empty one of the same block, with one reference. Readers behind the writer
// are failed: they may have passed wrong bytes on. The old reference remains to
// be given back.
func (a *Arrival) Restart() *Arrival {
	a.Fail(fmt.Errorf("arrival of %s: %w", a.id.Short(), ErrCorrupt))
	return NewArrival(a.id, a.pool)
}

// Finish verifies the bytes and ends the arrival. When they are the block, the
// caller gets a reference to it; otherwise the arrival stays open and the error
// is ErrCorrupt: the writer restarts or fails it. An arrival that fails while
// its bytes are verified stays failed for its readers.
func (a *Arrival) Finish(from Tier) (Block, error) {
	a.mu.Lock()
	buf, size, have, ended := a.buf, a.size, a.have, a.ended
	a.mu.Unlock()
	switch {
	case ended:
		return Block{}, fmt.Errorf("arrival of %s: it has ended: %w", a.id.Short(), ErrUnavailable)
	case buf == nil || have != size:
		return Block{}, fmt.Errorf("arrival of %s: %d of %d bytes: %w", a.id.Short(), have, size, ErrCorrupt)
	}
	if got := Sum(buf.Bytes()); got != a.id {
		return Block{}, fmt.Errorf("arrival of %s: got %d bytes that hash to %s: %w", a.id.Short(), size, got, ErrCorrupt)
	}
	b := buf.Seal(a.id, from)
	mine := b.Retain()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.buf, a.block, a.ended = nil, b, true
	a.wakeLocked()
	return mine, nil
}

// Fail ends the arrival for its readers with err. The bytes are forgotten once
// everybody has left.
func (a *Arrival) Fail(err error) {
	if err == nil {
		panic("block: an arrival fails without an error")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.ended {
		a.err, a.ended = err, true
		a.wakeLocked()
	}
}

// Next returns the bytes from offset on that may be read, waiting until there
// are some. It returns an empty slice, not nil, when offset is the block's size.
// The error is the arrival's, or ctx's, or says that the offset lies outside of
// the block.
func (a *Arrival) Next(ctx context.Context, offset int) ([]byte, error) {
	for {
		a.mu.Lock()
		p, err := a.readyLocked(offset)
		if p != nil || err != nil {
			a.mu.Unlock()
			return p, err
		}
		changed := a.changedLocked()
		a.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Readable reports whether Next would return without waiting.
func (a *Arrival) Readable(offset int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	p, err := a.readyLocked(offset)
	return p != nil || err != nil
}

// Changed returns a channel that is closed when something arrives or the
// arrival ends, for those who wait for something else as well. Look at the
// state after taking the channel.
func (a *Arrival) Changed() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.changedLocked()
}

// Flowing reports whether a first byte is there to be read.
func (a *Arrival) Flowing() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err == nil && (!a.block.IsZero() || a.openLocked() > 0)
}

// Ended reports whether the arrival finished or failed.
func (a *Arrival) Ended() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ended
}

// Block returns a reference to the block once the arrival finished.
func (a *Arrival) Block() (Block, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil || a.block.IsZero() {
		return Block{}, false
	}
	return a.block.Retain(), true
}

// openLocked returns how many bytes may be read before the block is verified.
func (a *Arrival) openLocked() int { return min(a.have, max(a.size-heldBack, 0)) }

func (a *Arrival) readyLocked(offset int) ([]byte, error) {
	switch {
	case a.err != nil:
		return nil, a.err
	case offset < 0 || a.size >= 0 && offset > a.size:
		return nil, fmt.Errorf("arrival of %s: offset %d of %d bytes", a.id.Short(), offset, a.size)
	case a.ended:
		return a.block.Bytes()[offset:], nil
	case offset < a.openLocked():
		return a.buf.Bytes()[offset:a.openLocked()], nil
	}
	return nil, nil
}

// changedLocked makes the channel of who waits: most arrivals, and all that are
// complete from the start, never need one.
func (a *Arrival) changedLocked() <-chan struct{} {
	if a.ended {
		now := make(chan struct{})
		close(now)
		return now
	}
	if a.changed == nil {
		a.changed = make(chan struct{})
	}
	return a.changed
}

func (a *Arrival) wakeLocked() {
	if a.changed != nil {
		close(a.changed)
		a.changed = nil
	}
}

var errLeft = errors.New("block: arrival was left by everybody")

// Join adds a reference.
func (a *Arrival) Join() *Arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refs <= 0 {
		panic(errLeft)
	}
	a.refs++
	return a
}

// Leave gives a reference back; the last one frees the memory.
func (a *Arrival) Leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refs <= 0 {
		panic(errLeft)
	}
	if a.refs--; a.refs > 0 {
		return
	}
	a.block.Release()
	a.block = Block{}
	if a.buf != nil {
		a.buf.Release()
		a.buf = nil
	}
	if !a.ended {
		a.ended = true
		a.wakeLocked()
	}
	if a.err == nil {
		a.err = errLeft // for whoever reads on without a reference
	}
}
