package main

import (
	"sync"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/prefetch"
)

// A keepSet is what pins keep: a block of several pins is one.
type keepSet struct {
	mu    sync.RWMutex
	pins  map[block.ID]int // how many
	bytes int64
}

func newKeepSet() *keepSet { return &keepSet{pins: map[block.ID]int{}} }

// has reports whether a block is kept.
func (k *keepSet) has(id block.ID) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.pins[id] > 0
}

// size returns how many blocks are kept, and their bytes.
func (k *keepSet) size() (blocks int, bytes int64) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return len(k.pins), k.bytes
}

// swap keeps the blocks of a pin instead of those it had, unless all that is kept
// would then have more bytes than limit: it returns how many it would, and whether it
// did.
func (k *keepSet) swap(had, has []prefetch.Block, limit int64) (bytes int64, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dropLocked(had)
	k.addLocked(has)
	if bytes = k.bytes; bytes <= limit {
		return bytes, true
	}
	k.dropLocked(has)
	k.addLocked(had)
	return bytes, false
}

func (k *keepSet) addLocked(blocks []prefetch.Block) {
	for _, b := range blocks {
		if k.pins[b.ID]++; k.pins[b.ID] == 1 {
			k.bytes += int64(b.Length)
		}
	}
}

func (k *keepSet) dropLocked(blocks []prefetch.Block) {
	for _, b := range blocks {
		if k.pins[b.ID]--; k.pins[b.ID] == 0 {
			delete(k.pins, b.ID)
			k.bytes -= int64(b.Length)
		}
	}
}
