package evict

import (
	"encoding/binary"
	"sync"

	"github.com/zonecache/cached/block"
)

const (
	ghostWays    = 8
	minGhostSize = 1 << 10
)

// A Ghost remembers which blocks were evicted lately, by 32 bits of their id:
// a set-associative table of (fingerprint, time), where time counts insertions
// and an entry older than the ghost's size has expired. It costs 8 to 16 bytes
// for each block of its size. A false match (one lookup in 2^29) only puts a
// block into the wrong log.
type Ghost struct {
	mu      sync.Mutex // the writer's, but for those who ask what was evicted
	size    uint32     // blocks remembered
	clock   uint32
	entries []uint64 // fingerprint<<32 | time, zero when free
}

// Resize makes the ghost remember n blocks. A ghost that must grow starts
// afresh: it grows while the tier fills up, when little was evicted.
func (g *Ghost) Resize(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.resizeLocked(n)
}

func (g *Ghost) resizeLocked(n int) {
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

func (g *Ghost) bucket(id block.ID) ([]uint64, uint64) {
	buckets := uint64(len(g.entries) / ghostWays)
	at := binary.LittleEndian.Uint64(id[8:]) & (buckets - 1) * ghostWays
	return g.entries[at : at+ghostWays], uint64(binary.LittleEndian.Uint32(id[:]))
}

func (g *Ghost) fresh(entry uint64) bool {
	return entry != 0 && g.clock-uint32(entry) < g.size
}

// Add remembers id, in place of the oldest entry of its bucket.
func (g *Ghost) Add(id block.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.entries) == 0 {
		g.resizeLocked(minGhostSize)
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

// Take reports whether id was evicted lately, and forgets it.
func (g *Ghost) Take(id block.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.findLocked(id)
	if e == nil {
		return false
	}
	*e = 0
	return true
}

// Remembers reports whether id was evicted lately.
func (g *Ghost) Remembers(id block.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.findLocked(id) != nil
}

// findLocked returns the entry of an id, or nil.
func (g *Ghost) findLocked(id block.ID) *uint64 {
	if len(g.entries) == 0 {
		return nil
	}
	bucket, print := g.bucket(id)
	for i, e := range bucket {
		if e>>32 == print && g.fresh(e) {
			return &bucket[i]
		}
	}
	return nil
}
