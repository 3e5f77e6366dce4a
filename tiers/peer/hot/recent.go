package hot

import (
	"sync"
	"time"

	"github.com/zonecache/cached/block"
)

// recentBlocks is how many blocks a [Recent] remembers.
const recentBlocks = 8192

// A Recent remembers the last blocks for a while.
type Recent struct {
	Keep time.Duration // how long

	mu   sync.Mutex
	when map[block.ID]time.Time
	line []block.ID // in the order they came; an ID may stand in it more than once
}

// Add remembers a block and reports whether it was remembered.
func (r *Recent) Add(id block.ID, now time.Time) (was bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.when == nil {
		r.when = map[block.ID]time.Time{}
	}
	last, ok := r.when[id]
	r.when[id] = now
	if !ok {
		if len(r.line) == recentBlocks {
			delete(r.when, r.line[0])
			r.line = r.line[1:]
		}
		r.line = append(r.line, id)
	}
	return ok && now.Sub(last) < r.Keep
}

// Has reports whether the block is remembered.
func (r *Recent) Has(id block.ID, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, ok := r.when[id]
	return ok && now.Sub(last) < r.Keep
}
