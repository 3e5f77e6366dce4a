package policy

// An LRU evicts what was not used for longest.
type LRU struct {
	capacity int64
	index    map[uint64]*node
	order    *list
}

// NewLRU returns an empty LRU of that many bytes.
func NewLRU(capacity int64) *LRU {
	return &LRU{capacity: capacity, index: map[uint64]*node{}, order: newList()}
}

// Access implements [Cache].
func (c *LRU) Access(id uint64, size int64) bool {
	if n, ok := c.index[id]; ok {
		c.order.moveToFront(n)
		return true
	}
	if size > c.capacity {
		return false
	}
	for c.order.bytes+size > c.capacity {
		delete(c.index, c.order.popBack().id)
	}
	n := &node{id: id, size: size}
	c.index[id] = n
	c.order.pushFront(n)
	return false
}
