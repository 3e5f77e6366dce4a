package product

import (
	"math/rand/v2"
	"sync"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/loadtest/hitrate/policy"
)

// What tiers/memory and ristretto have.
const (
	windowShare     = 4        // one in so many bytes belongs to the newest
	meanBlock       = 64 << 10 // for which the frequency sketch is laid out
	countersPerItem = 10
	minCounters     = 1000
	// The rows of ristretto's sketch differ by an exclusive or with a constant, so that
	// what collides in one collides in all: four are worth one.
	sketchRows = 1
	samples    = 5 // of which the least used is evicted
)

// An L1Model decides as the memory tier does: the newest in a window by their order,
// what falls out of it against the least used of five by TinyLFU.
type L1Model struct {
	capacity, windowLimit int64
	used, mainUsed        int64
	window                []uint64 // oldest first
	head                  int
	windowBytes           int64
	index                 map[uint64]*kept
	main                  []*kept
	sketch                *policy.Sketch
	rng                   *rand.Rand
	sample                []*kept
}

// A kept is an object in an L1Model.
type kept struct {
	id     uint64
	size   int64 // of memory
	place  int   // in main; -1: in the window
	picked bool  // for the sample
}

var _ policy.Cache = (*L1Model)(nil)

// NewL1Model returns an empty model of that many bytes.
func NewL1Model(capacity int64, seed uint64) *L1Model {
	counters := max(capacity/meanBlock*countersPerItem, minCounters)
	return &L1Model{
		capacity: capacity, windowLimit: capacity / windowShare, index: map[uint64]*kept{},
		sketch: policy.NewSketch(sketchRows, counters, counters), rng: rand.New(rand.NewPCG(seed, 0x11)),
	}
}

// Access implements [policy.Cache].
func (c *L1Model) Access(id uint64, size int64) bool {
	c.sketch.Use(id)
	if _, hit := c.index[id]; hit {
		return true
	}
	c.sketch.Use(id) // the flight looks once more
	size = memorySize(size)
	if size > c.capacity {
		return false
	}
	c.index[id] = &kept{id: id, size: size, place: -1}
	c.window = append(c.window, id)
	c.windowBytes += size
	c.used += size
	for c.windowBytes > c.windowLimit && c.used > c.capacity {
		oldest := c.index[c.window[c.head]]
		if c.head++; c.head > len(c.window)/2 {
			c.window = c.window[:copy(c.window, c.window[c.head:])]
			c.head = 0
		}
		c.windowBytes -= oldest.size
		c.offer(oldest)
	}
	return false
}

// Holds reports whether the model has the object, which does not count as a use.
func (c *L1Model) Holds(id uint64) bool {
	_, ok := c.index[id]
	return ok
}

// offer puts what left the window before the filter.
func (c *L1Model) offer(k *kept) {
	limit := c.capacity - c.windowLimit
	if k.size > limit || !c.makeRoom(k, limit) {
		delete(c.index, k.id)
		c.used -= k.size
		return
	}
	k.place = len(c.main)
	c.main = append(c.main, k)
	c.mainUsed += k.size
}

// makeRoom evicts what is used less than k, and reports whether there is room.
func (c *L1Model) makeRoom(k *kept, limit int64) bool {
	uses := -1
	for _, s := range c.sample {
		s.picked = false
	}
	c.sample = c.sample[:0]
	for c.mainUsed+k.size > limit {
		if uses < 0 {
			uses = c.sketch.Count(k.id)
		}
		c.fill()
		least, at := int(^uint(0)>>1), 0
		for i, s := range c.sample {
			if n := c.sketch.Count(s.id); n < least {
				least, at = n, i
			}
		}
		if uses < least {
			return false
		}
		victim := c.sample[at]
		c.sample[at] = c.sample[len(c.sample)-1]
		c.sample = c.sample[:len(c.sample)-1]
		c.evict(victim)
	}
	return true
}

func (c *L1Model) fill() {
	for len(c.sample) < min(samples, len(c.main)) {
		if s := c.main[c.rng.IntN(len(c.main))]; !s.picked {
			s.picked = true
			c.sample = append(c.sample, s)
		}
	}
}

func (c *L1Model) evict(k *kept) {
	last := c.main[len(c.main)-1]
	c.main[k.place], last.place = last, k.place
	c.main = c.main[:len(c.main)-1]
	delete(c.index, k.id)
	c.mainUsed -= k.size
	c.used -= k.size
}

// memorySizes is what blocks occupy in memory, by their pages: the pool's classes.
var memorySizes = sync.OnceValue(func() (sizes [block.MaxSize/page + 1]int64) {
	pool := block.NewPool(1 << 50)
	for pages := 1; pages < len(sizes); pages++ {
		b := pool.Get(pages*page).Seal(block.ID{}, block.Origin)
		sizes[pages] = int64(b.MemorySize())
		b.Release()
	}
	return sizes
})

const page = 4096

// memorySize returns what a block of n bytes occupies.
func memorySize(n int64) int64 {
	if n > block.MaxSize {
		return n
	}
	return memorySizes()[(n+page-1)/page]
}
