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
// what falls out of it against the least used of five by TinyLFU. Objects are numbered
// from zero.
type L1Model struct {
	capacity, windowLimit int64
	used, mainUsed        int64
	window                []kept // oldest first
	head                  int
	windowBytes           int64
	place                 []int32 // by object: 1 + where it is in main, inWindow, or nowhere
	main                  []kept
	sketch                *policy.Sketch
	rng                   *rand.Rand
}

// A kept is an object in an L1Model.
type kept struct {
	id   uint32
	size int32 // of memory
}

const (
	nowhere  = 0
	inWindow = -1
)

var _ policy.Cache = (*L1Model)(nil)

// NewL1Model returns an empty model of that many bytes.
func NewL1Model(capacity int64, seed uint64) *L1Model {
	counters := max(capacity/meanBlock*countersPerItem, minCounters)
	return &L1Model{
		capacity: capacity, windowLimit: capacity / windowShare,
		sketch: policy.NewSketch(sketchRows, counters, counters), rng: rand.New(rand.NewPCG(seed, 0x11)),
	}
}

// Access implements [policy.Cache].
func (c *L1Model) Access(id uint64, size int64) bool {
	c.sketch.Use(id)
	if c.Holds(id) {
		return true
	}
	size = memorySize(size)
	if size > c.capacity || size > maxMemory {
		return false
	}
	for id >= uint64(len(c.place)) {
		c.place = append(c.place, make([]int32, 1+len(c.place)/4)...)
	}
	c.place[id] = inWindow
	c.window = append(c.window, kept{uint32(id), int32(size)})
	c.windowBytes += size
	c.used += size
	for c.windowBytes > c.windowLimit && c.used > c.capacity {
		oldest := c.window[c.head]
		if c.head++; c.head > len(c.window)/2 {
			c.window = c.window[:copy(c.window, c.window[c.head:])]
			c.head = 0
		}
		c.windowBytes -= int64(oldest.size)
		c.offer(oldest)
	}
	return false
}

// Holds reports whether the model has the object, which does not count as a use.
func (c *L1Model) Holds(id uint64) bool {
	return id < uint64(len(c.place)) && c.place[id] != nowhere
}

// offer puts what left the window before the filter.
func (c *L1Model) offer(k kept) {
	limit := c.capacity - c.windowLimit
	if int64(k.size) > limit || !c.makeRoom(k, limit) {
		c.place[k.id] = nowhere
		c.used -= int64(k.size)
		return
	}
	c.main = append(c.main, k)
	c.place[k.id] = int32(len(c.main))
	c.mainUsed += int64(k.size)
}

// makeRoom evicts what is used less than k, and reports whether there is room.
func (c *L1Model) makeRoom(k kept, limit int64) bool {
	var room [samples]sampled
	sample, uses := room[:0], -1
	for c.mainUsed+int64(k.size) > limit {
		if uses < 0 {
			uses = c.sketch.Count(uint64(k.id))
		}
		sample = c.fill(sample)
		least := 0
		for i, s := range sample {
			if s.uses < sample[least].uses {
				least = i
			}
		}
		if uses < sample[least].uses {
			return false
		}
		victim := sample[least].id
		sample[least] = sample[len(sample)-1]
		sample = sample[:len(sample)-1]
		c.evict(victim)
	}
	return true
}

type sampled struct {
	id   uint32
	uses int
}

// fill draws what is not in the sample yet.
func (c *L1Model) fill(sample []sampled) []sampled {
draw:
	for len(sample) < min(samples, len(c.main)) {
		id := c.main[c.rng.IntN(len(c.main))].id
		for _, s := range sample {
			if s.id == id {
				continue draw
			}
		}
		sample = append(sample, sampled{id, c.sketch.Count(uint64(id))})
	}
	return sample
}

func (c *L1Model) evict(id uint32) {
	at := c.place[id] - 1
	size := int64(c.main[at].size)
	last := len(c.main) - 1
	c.main[at] = c.main[last]
	c.place[c.main[at].id] = at + 1
	c.main = c.main[:last]
	c.place[id] = nowhere
	c.mainUsed -= size
	c.used -= size
}

const (
	page      = 4096
	maxMemory = 2 * block.MaxSize
)

// memorySizes is what blocks occupy in memory, by their pages: the pool's classes.
var memorySizes = sync.OnceValue(func() *[block.MaxSize/page + 1]int64 {
	var sizes [block.MaxSize/page + 1]int64
	pool := block.NewPool(1 << 50)
	for pages := 1; pages < len(sizes); pages++ {
		b := pool.Get(pages*page).Seal(block.ID{}, block.Origin)
		sizes[pages] = int64(b.MemorySize())
		b.Release()
	}
	return &sizes
})

// memorySize returns what a block of n bytes occupies; more than anything where it is
// larger than a block may be.
func memorySize(n int64) int64 {
	if n > block.MaxSize {
		return 1 << 62
	}
	return memorySizes()[(n+page-1)/page]
}
