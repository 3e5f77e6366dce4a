package rootfs

import (
	"bytes"
	"math/bits"
)

// Holes are found by content: chunks of a file of at least 1 MiB that are all
// zeros, the last, shorter one included. A file that has one is stored by
// chunks and the zeros take no room, so a sparse file of a terabyte makes a small
// image. How the source stores the zeros must not matter, because the same tree
// on another file system is the same image.
const (
	minChunkBits = 20
	maxChunks    = 1 << 16 // beyond, chunks grow: the index of a file stays below 512 KiB
)

// holes is the set of chunks of one file that are all zeros.
type holes struct {
	chunkBits uint8
	chunks    int64
	words     []uint64
}

// chunkBitsFor returns the log2 of the chunk size for a file of size bytes.
func chunkBitsFor(size int64) uint8 {
	b := uint8(minChunkBits)
	for size>>b > maxChunks {
		b++
	}
	return b
}

func chunkSize(size int64) int64 { return 1 << chunkBitsFor(size) }

func newHoles(size int64) *holes {
	b := chunkBitsFor(size)
	n := (size-1)>>b + 1
	return &holes{chunkBits: b, chunks: n, words: make([]uint64, (n+63)/64)}
}

func (h *holes) set(i int64)      { h.words[i/64] |= 1 << (i % 64) }
func (h *holes) has(i int64) bool { return h.words[i/64]>>(i%64)&1 != 0 }

// bytes returns how many of the size bytes are in holes.
func (h *holes) bytes(size int64) int64 {
	n := 0
	for _, w := range h.words {
		n += bits.OnesCount64(w)
	}
	sum := int64(n) << h.chunkBits
	if h.has(h.chunks - 1) {
		sum -= h.chunks<<h.chunkBits - size
	}
	return sum
}

// stored returns the bytes of ino's content that are in no hole.
func stored(ino *inode) int64 {
	if h := ino.holes(); h != nil {
		return ino.size - h.bytes(ino.size)
	}
	return ino.size
}

// data yields the runs of ino's content between holes, in order.
func (ino *inode) data(yield func(extent) bool) {
	h := ino.holes()
	if h == nil {
		if ino.size > 0 {
			yield(extent{0, ino.size})
		}
		return
	}
	for i := int64(0); i < h.chunks; {
		if h.has(i) {
			i++
			continue
		}
		start := i
		for i < h.chunks && !h.has(i) {
			i++
		}
		off := start << h.chunkBits
		if !yield(extent{off, min(i<<h.chunkBits, ino.size) - off}) {
			return
		}
	}
}

var zeroBlock [4096]byte

// allZero reports whether p holds only zeros.
func allZero(p []byte) bool {
	for len(p) > len(zeroBlock) {
		if !bytes.Equal(p[:len(zeroBlock)], zeroBlock[:]) {
			return false
		}
		p = p[len(zeroBlock):]
	}
	return bytes.Equal(p, zeroBlock[:len(p)])
}
