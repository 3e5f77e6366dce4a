package memory

import (
	"encoding/binary"
	"sync"

	"github.com/zonecache/cached/block"
)

// A gate stands before ristretto for a share of the keys. It keeps reads and
// writes from overlapping with Close, which ristretto answers with a panic
// (send on a closed channel), and lets one writer at a time offer a key.
type gate struct {
	mu      sync.RWMutex
	closed  bool
	writing map[uint64]struct{} // keys being offered
	fresh   map[uint64]entry    // the window's
	_       [64]byte            // gates of different keys share no cache line
}

const gateCount = 64

// keyOf returns the word by which ristretto knows a block. Ids are uniform, so
// a word of them needs no further hashing. Two blocks with the same key exclude
// each other; reads compare the whole id.
func keyOf(id block.ID) uint64 { return binary.LittleEndian.Uint64(id[:8]) }

// gateOf uses other bits than ristretto's shards, which take the lowest eight.
func (t *Tier) gateOf(key uint64) *gate { return &t.gates[key>>32%gateCount] }

func (t *Tier) lookupLocked(g *gate, key uint64) (entry, bool) {
	if g.closed {
		return entry{}, false
	}
	if e, ok := t.cache.Get(key); ok { // counts as a use of the key also where it misses
		return e, true
	}
	e, ok := g.fresh[key]
	return e, ok
}

// beginWrite reports whether the caller may offer a block under the key, and
// must then call endWrite: false if one is held, on its way, or the tier is
// closed. GetTTL looks without counting as a use, which Get does.
func (t *Tier) beginWrite(g *gate, key uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		t.closed.Add(1)
		return false
	}
	if _, busy := g.writing[key]; busy {
		return false
	}
	if _, held := g.fresh[key]; held {
		return false
	}
	if _, held := t.cache.GetTTL(key); held {
		return false
	}
	g.writing[key] = struct{}{}
	t.writers.Add(1)
	return true
}

func (t *Tier) endWrite(g *gate, key uint64) {
	g.mu.Lock()
	delete(g.writing, key)
	g.mu.Unlock()
	t.writers.Done()
}

func (g *gate) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
}
