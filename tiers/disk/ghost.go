package disk

import (
	"encoding/binary"

	"github.com/zonecache/cached/block"
)

const (
	ghostWays    = 8
	minGhostSize = 1 << 10
)

// A ghost remembers which blocks were evicted lately, by 32 bits of their id:
// a set-associative table of (fingerprint, time), where time counts insertions
// and an entry older than the ghost's size has expired. It costs 8 to 16 bytes
// for each block of its size. A false match (one lookup in 2^29) only puts a
// block into the wrong log. Only the writer uses it.
type ghost struct {
	size    uint32 // blocks remembered
	clock   uint32
	entries []uint64 // fingerprint<<32 | time, zero when free
}

// resize makes the ghost remember n blocks. A ghost that must grow starts
// afresh: it grows while the tier fills up, when little was evicted.
func (g *ghost) resize(n int) {
	n = max(n, minGhostSize)
	if n > len(g.entries) {
		buckets := 1
		for buckets*ghostWays < n {
			buckets *= 2
		}
		g.entries = make([]uint64, buckets*ghostWays)
	}
	g.size = uint32(min(n, 1<<31))
}

func (g *ghost) bucket(id block.ID) ([]uint64, uint64) {
	buckets := uint64(len(g.entries) / ghostWays)
	at := binary.LittleEndian.Uint64(id[8:]) & (buckets - 1) * ghostWays
	return g.entries[at : at+ghostWays], uint64(binary.LittleEndian.Uint32(id[:]))
}

func (g *ghost) fresh(entry uint64) bool {
	return entry != 0 && g.clock-uint32(entry) < g.size
}

// add remembers id, in place of the oldest entry of its bucket.
func (g *ghost) add(id block.ID) {
	if len(g.entries) == 0 {
		g.resize(minGhostSize)
	}
	g.clock++
	bucket, print := g.bucket(id)
	oldest := 0
	for i, e := range bucket {
		if e == 0 || e>>32 == print {
			oldest = i
			break
		}
		if g.clock-uint32(e) > g.clock-uint32(bucket[oldest]) {
			oldest = i
		}
	}
	bucket[oldest] = print<<32 | uint64(g.clock)
}

// take reports whether id was evicted lately, and forgets it.
func (g *ghost) take(id block.ID) bool {
	if len(g.entries) == 0 {
		return false
	}
	bucket, print := g.bucket(id)
	for i, e := range bucket {
		if e>>32 == print && g.fresh(e) {
			bucket[i] = 0
			return true
		}
	}
	return false
}
