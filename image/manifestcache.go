package image

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/zonecache/cached/block"
)

// A manifestCache keeps the manifests used last, within a budget of encoded
// bytes; decoded they take a third more. One that exceeds the budget alone is
// kept alone.
type manifestCache struct {
	limit int64

	mu    sync.Mutex
	lru   *simplelru.LRU[block.ID, sized]
	bytes int64
}

type sized struct {
	m     *Manifest
	bytes int64
}

// maxManifests bounds the entries, for images of few bytes.
const maxManifests = 16 << 10

func newManifestCache(limit int64) (*manifestCache, error) {
	c := &manifestCache{limit: limit}
	var err error
	// The callback runs within calls that hold mu.
	c.lru, err = simplelru.NewLRU(maxManifests, func(_ block.ID, s sized) { c.bytes -= s.bytes })
	return c, err
}

func (c *manifestCache) get(id block.ID) (*Manifest, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.lru.Get(id)
	return s.m, ok
}

func (c *manifestCache) add(id block.ID, m *Manifest, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lru.Contains(id) {
		return
	}
	c.lru.Add(id, sized{m, n})
	c.bytes += n
	for c.bytes > c.limit && c.lru.Len() > 1 {
		c.lru.RemoveOldest()
	}
}
