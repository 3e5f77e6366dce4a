package block

// A Buffer is pooled memory that is still being filled. It has one owner, who
// either seals it into a Block or releases it.
type Buffer struct {
	pool  *Pool
	class int
	full  []byte // the whole allocation, page-aligned
	start int    // the payload is full[start:start+n]
	n     int
}

// Bytes returns the payload, to be filled.
func (b *Buffer) Bytes() []byte { return b.full[b.start : b.start+b.n] }

// Full returns the whole allocation, page-aligned and at least as large as was
// asked for, for media that transfer whole sectors. [Buffer.Slice] then says
// where in it the payload lies.
func (b *Buffer) Full() []byte { return b.full }

// Cap returns the size of the allocation.
func (b *Buffer) Cap() int { return len(b.full) }

// Slice sets the payload to the n bytes of the allocation from start on.
func (b *Buffer) Slice(start, n int) {
	_ = b.full[start : start+n]
	b.start, b.n = start, n
}

// Seal makes the payload an immutable block named id, with one reference, and
// ends the caller's ownership of the buffer. It does not check the digest: that
// is the Verify combinator's work, or the caller's where the bytes entered the node.
func (b *Buffer) Seal(id ID, from Tier) Block {
	h := &header{id: id, buf: b, n: b.n}
	h.refs.Store(1)
	h.trace.sealed(h)
	return Block{From: from, h: h}
}

// Release returns the memory to the pool. It must not be called after Seal.
func (b *Buffer) Release() { b.pool.put(b) }
