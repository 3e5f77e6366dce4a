package disk

import (
	"sync"

	"github.com/zonecache/cached/block"
)

// maxForgets bounds the damaged entries waiting to be removed; more are
// noticed again when they are next read.
const maxForgets = 4096

// A queue holds the blocks on their way to the disk, bounded in bytes. A block
// in it is readable from the moment it is accepted until the writer has made it
// durable and calls done.
type queue struct {
	limit int64
	wake  chan struct{} // capacity 1: something was added

	mu      sync.Mutex
	pending map[block.ID]block.Block
	fresh   []block.Block         // accepted, not yet taken by the writer; borrowed from pending
	forgets map[block.ID]location // entries that led to wrong bytes
	bytes   int64                 // memory held by pending
	closed  bool
}

func newQueue(limit int64) *queue {
	return &queue{
		limit:   limit,
		wake:    make(chan struct{}, 1),
		pending: map[block.ID]block.Block{},
		forgets: map[block.ID]location{},
	}
}

// A verdict is what became of an offer.
type verdict uint8

const (
	accepted verdict = iota
	present          // already on its way
	full
)

// offer retains b and accepts it, unless the queue is full or closed.
func (q *queue) offer(b block.Block) verdict {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, ok := q.pending[b.ID()]; ok {
		return present
	}
	size := int64(b.MemorySize())
	if q.closed || q.bytes+size > q.limit {
		return full
	}
	q.bytes += size
	b = b.Retain()
	q.pending[b.ID()] = b
	q.fresh = append(q.fresh, b)
	q.signal()
	return accepted
}

// adopt makes a block the writer itself moves readable, taking over its
// reference. It refuses, and releases, a block that was offered anew meanwhile:
// that one is on its way. It is not bounded: the writer bounds what it moves.
func (q *queue) adopt(b block.Block) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, ok := q.pending[b.ID()]; ok {
		b.Release()
		return false
	}
	q.bytes += int64(b.MemorySize())
	q.pending[b.ID()] = b
	return true
}

// lookup returns a new reference to a pending block.
func (q *queue) lookup(id block.ID) (block.Block, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	b, ok := q.pending[id]
	if !ok {
		return block.Block{}, false
	}
	return b.Retain(), true
}

// forget asks the writer to remove the entry of id, if it still is l.
func (q *queue) forget(id block.ID, l location) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.forgets) < maxForgets && !q.closed {
		q.forgets[id] = l
		q.signal()
	}
}

// take returns the entries to forget and the next accepted blocks, up to about
// limit bytes. Forgets asked for before an offer are returned no later than it:
// the good copy of a damaged block would otherwise be taken for present.
func (q *queue) take(dst []block.Block, limit int64) ([]block.Block, map[block.ID]location) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for ; n < len(q.fresh) && limit > 0; n++ {
		dst = append(dst, q.fresh[n])
		limit -= int64(q.fresh[n].Len())
	}
	clear(q.fresh[:n])
	if q.fresh = q.fresh[n:]; len(q.fresh) == 0 {
		q.fresh = nil
	}
	if len(q.forgets) == 0 {
		return dst, nil
	}
	forgets := q.forgets
	q.forgets = map[block.ID]location{}
	return dst, forgets
}

// done drops the pending block of that id: it is on the disk, or given up.
func (q *queue) done(id block.ID) {
	q.mu.Lock()
	b, ok := q.pending[id]
	if ok {
		delete(q.pending, id)
		q.bytes -= int64(b.MemorySize())
	}
	q.mu.Unlock()
	b.Release()
}

// close refuses all further offers.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

// drain gives up all that is pending, taken by the writer or not, and returns
// how many blocks that was. What the writer borrowed is no longer valid.
func (q *queue) drain() int {
	q.mu.Lock()
	left := q.pending
	q.pending, q.fresh, q.bytes = map[block.ID]block.Block{}, nil, 0
	q.mu.Unlock()
	for _, b := range left {
		b.Release()
	}
	return len(left)
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
