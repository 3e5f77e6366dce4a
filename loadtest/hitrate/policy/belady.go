package policy

import "container/heap"

// A Belady knows the future: it evicts what is used next at the latest time, and does
// not take in what would be (Belady, 1966; MIN with bypass). Where all objects have one
// size no policy has more hits. Where sizes differ that is not so, and what would be
// optimal cannot be computed in reasonable time: the figure is then that of a very good
// policy rather than a bound. What no cache can exceed is [Compulsory].
type Belady struct {
	capacity int64
	next     []int64 // for each access, when its object is used next
	at       int
	used     int64
	index    map[uint64]*future
	order    futures
}

// never is when an object is used next that is not used again.
const never = int64(1) << 62

// NextUses returns for each of a sequence of accesses which one reads the object again.
func NextUses(ids []uint64) []int64 {
	next := make([]int64, len(ids))
	last := make(map[uint64]int, len(ids)/8)
	for i := len(ids) - 1; i >= 0; i-- {
		next[i] = never
		if later, ok := last[ids[i]]; ok {
			next[i] = int64(later)
		}
		last[ids[i]] = i
	}
	return next
}

// NewBelady returns an empty cache of that many bytes for the accesses of which next
// is what [NextUses] returned.
func NewBelady(capacity int64, next []int64) *Belady {
	return &Belady{capacity: capacity, next: next, index: map[uint64]*future{}}
}

// A future is an object in the cache.
type future struct {
	id   uint64
	size int64
	next int64
	heap int // its place there
}

// Access implements [Cache]. The accesses must be those of NextUses, in their order.
func (c *Belady) Access(id uint64, size int64) bool {
	next := c.next[c.at]
	c.at++
	if f, ok := c.index[id]; ok {
		if next == never {
			c.drop(f)
			return true
		}
		f.next = next
		heap.Fix(&c.order, f.heap)
		return true
	}
	if next == never || size > c.capacity {
		return false
	}
	f := &future{id: id, size: size, next: next}
	c.index[id] = f
	heap.Push(&c.order, f)
	c.used += size
	for c.used > c.capacity {
		c.drop(c.order[0])
	}
	return false
}

func (c *Belady) drop(f *future) {
	heap.Remove(&c.order, f.heap)
	delete(c.index, f.id)
	c.used -= f.size
}

// futures is a heap whose first is used last.
type futures []*future

func (h futures) Len() int           { return len(h) }
func (h futures) Less(i, j int) bool { return h[i].next > h[j].next }
func (h futures) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heap, h[j].heap = i, j
}

// Push implements [heap.Interface].
func (h *futures) Push(x any) {
	f := x.(*future)
	f.heap = len(*h)
	*h = append(*h, f)
}

// Pop implements [heap.Interface].
func (h *futures) Pop() any {
	last := len(*h) - 1
	f := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return f
}

// A Compulsory has room for everything: it misses what was never read, and nothing else.
type Compulsory struct{ seen map[uint64]struct{} }

// NewCompulsory returns an empty one.
func NewCompulsory() *Compulsory { return &Compulsory{map[uint64]struct{}{}} }

// Access implements [Cache].
func (c *Compulsory) Access(id uint64, _ int64) bool {
	_, hit := c.seen[id]
	c.seen[id] = struct{}{}
	return hit
}
