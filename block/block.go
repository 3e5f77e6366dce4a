package block

import (
	"fmt"
	"sync/atomic"
)

// A Block is one reference to an immutable, pooled buffer. The zero Block holds
// nothing. Copying the struct does not add a reference: [Block.Retain] does.
type Block struct {
	From Tier // who served this reader
	h    *header
}

// A header is shared by all references to one buffer. Headers are never
// recycled, only the memory they point to: a reader that lost the race against
// the last Release finds the count at zero and cannot mistake the next tenant
// of the memory for its block.
type header struct {
	refs  atomic.Int64
	id    ID
	buf   *Buffer
	n     int
	trace leakTrace
}

// New copies p into a buffer of [DefaultPool] and returns it as a block named
// by its digest. It is meant for producers of new blocks and for tests; tiers
// fill a [Buffer] and seal it.
func New(p []byte, from Tier) Block {
	buf := DefaultPool.Get(len(p))
	copy(buf.Bytes(), p)
	return buf.Seal(Sum(p), from)
}

// ID returns the name the block was sealed under.
func (b Block) ID() ID { return b.h.id }

// Len returns the number of bytes in the block.
func (b Block) Len() int { return b.h.n }

// MemorySize returns how many bytes of memory the block occupies, which is what
// a memory budget must be charged: at least Len, at most Len+12.5 % and a page.
func (b Block) MemorySize() int { return b.h.buf.Cap() }

// IsZero reports whether b holds nothing.
func (b Block) IsZero() bool { return b.h == nil }

// Bytes returns the block's bytes, read-only and valid until Release.
func (b Block) Bytes() []byte {
	b.h.trace.checkAlive(b.h)
	return b.h.buf.full[b.h.buf.start : b.h.buf.start+b.h.n]
}

// WithFrom returns the same reference, relabelled as served by t.
func (b Block) WithFrom(t Tier) Block {
	b.From = t
	return b
}

// Retain adds a reference. The caller must hold one already.
func (b Block) Retain() Block {
	r, ok := b.TryRetain()
	if !ok {
		panic("block: retain of a released block " + b.h.id.String())
	}
	return r
}

// TryRetain adds a reference unless the last one is already gone. It is safe on
// a Block the caller holds no reference to, which is what a lookup in a cache
// that may evict at any moment returns.
func (b Block) TryRetain() (Block, bool) {
	if b.h == nil {
		return Block{}, false
	}
	for {
		n := b.h.refs.Load()
		if n <= 0 {
			return Block{}, false
		}
		if b.h.refs.CompareAndSwap(n, n+1) {
			b.h.trace.retained()
			return b, true
		}
	}
}

// Release drops one reference; the last one returns the memory to its pool.
// Releasing the zero Block does nothing.
func (b Block) Release() {
	if b.h == nil {
		return
	}
	switch n := b.h.refs.Add(-1); {
	case n == 0:
		b.h.trace.released(b.h)
		b.h.buf.Release()
	case n < 0:
		panic(fmt.Sprintf("block: %s released more often than retained%s", b.h.id, b.h.trace.history()))
	}
}
