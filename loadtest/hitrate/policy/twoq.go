package policy

// A TwoQ is the full version of 2Q (Johnson, Shasha, VLDB '94): objects seen for the
// first time pass through a FIFO; what comes back after it fell out of there, while a
// list of names remembers it, is managed by LRU. The FIFO has a quarter of the bytes
// and the names are those of half of them, as the paper recommends for pages.
type TwoQ struct {
	capacity, inLimit, outLimit int64
	index                       map[uint64]*node
	in, out, main               *list // A1in, A1out, Am
}

const (
	isIn uint8 = iota
	isOut
	isMain
)

// NewTwoQ returns an empty 2Q of that many bytes.
func NewTwoQ(capacity int64) *TwoQ {
	return &TwoQ{
		capacity: capacity, inLimit: capacity / 4, outLimit: capacity / 2,
		index: map[uint64]*node{}, in: newList(), out: newList(), main: newList(),
	}
}

// Access implements [Cache].
func (c *TwoQ) Access(id uint64, size int64) bool {
	n, known := c.index[id]
	if known && n.in != isOut {
		if n.in == isMain {
			c.main.moveToFront(n)
		}
		return true
	}
	if size > c.capacity {
		return false
	}
	if known { // remembered
		c.out.remove(n)
		delete(c.index, id)
	}
	c.reclaim(size)
	into, in := c.in, isIn
	if known {
		into, in = c.main, isMain
	}
	n = &node{id: id, size: size, in: in}
	c.index[id] = n
	into.pushFront(n)
	return false
}

func (c *TwoQ) reclaim(size int64) {
	for c.in.bytes+c.main.bytes+size > c.capacity {
		if c.in.bytes <= c.inLimit && c.main.count > 0 {
			delete(c.index, c.main.popBack().id)
			continue
		}
		n := c.in.popBack()
		n.in = isOut
		c.out.pushFront(n)
		for c.out.bytes > c.outLimit {
			delete(c.index, c.out.popBack().id)
		}
	}
}
