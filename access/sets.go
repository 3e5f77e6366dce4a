package access

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/zonecache/cached/block"
)

// maxSets bounds the sets kept, for images of few blocks.
const maxSets = 64 << 10

// sets keeps those of the images read last, by manifest id, within a budget of
// bytes. One that exceeds the budget alone is kept alone.
type sets struct {
	limit int64

	mu    sync.Mutex
	lru   *simplelru.LRU[block.ID, *set]
	bytes int64
}

func newSets(limit int64) (*sets, error) {
	c := &sets{limit: limit}
	var err error
	// The callback runs within calls that hold mu.
	c.lru, err = simplelru.NewLRU(maxSets, func(_ block.ID, s *set) { c.bytes -= s.size() })
	return c, err
}

func (c *sets) get(manifest block.ID) *set {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, _ := c.lru.Get(manifest)
	return s
}

func (c *sets) add(manifest block.ID, s *set) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lru.Contains(manifest) {
		return
	}
	c.lru.Add(manifest, s)
	c.bytes += s.size()
	for c.bytes > c.limit && c.lru.Len() > 1 {
		c.lru.RemoveOldest()
	}
}
