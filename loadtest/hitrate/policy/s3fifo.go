package policy

// An S3FIFO is S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi, SOSP '23): a small FIFO of a
// tenth of the bytes, a main one with second chances, and a ghost that remembers as
// many bytes of evicted objects as the main one holds. What was used more than once in
// the small FIFO goes on to the main one, and so does what the ghost remembers.
type S3FIFO struct {
	capacity, smallLimit int64
	index                map[uint64]*node
	small, main, ghost   *list
}

const (
	inSmall uint8 = iota
	inMain
	inGhost
)

// maxCount is how many uses S3-FIFO counts, with its two bits.
const maxCount = 3

// NewS3FIFO returns an empty S3-FIFO of that many bytes.
func NewS3FIFO(capacity int64) *S3FIFO {
	return &S3FIFO{
		capacity: capacity, smallLimit: capacity / 10,
		index: map[uint64]*node{}, small: newList(), main: newList(), ghost: newList(),
	}
}

// Access implements [Cache].
func (c *S3FIFO) Access(id uint64, size int64) bool {
	n, known := c.index[id]
	if known && n.in != inGhost {
		n.count = min(n.count+1, maxCount)
		return true
	}
	if size > c.capacity {
		return false
	}
	into, in := c.small, inSmall
	if known {
		c.ghost.remove(n)
		delete(c.index, id)
		into, in = c.main, inMain
	}
	for c.small.bytes+c.main.bytes+size > c.capacity {
		if c.small.count > 0 && (c.small.bytes > c.smallLimit || c.main.count == 0) {
			c.evictSmall()
		} else {
			c.evictMain()
		}
	}
	n = &node{id: id, size: size, in: in}
	c.index[id] = n
	into.pushFront(n)
	return false
}

// evictSmall evicts one object from the small FIFO, or moves all of it on.
func (c *S3FIFO) evictSmall() {
	for c.small.count > 0 {
		n := c.small.popBack()
		if n.count > 1 {
			n.count, n.in = 0, inMain
			c.main.pushFront(n)
			if c.main.bytes > c.capacity-c.smallLimit {
				c.evictMain()
			}
			continue
		}
		n.in = inGhost
		c.ghost.pushFront(n)
		for c.ghost.bytes > c.capacity-c.smallLimit {
			delete(c.index, c.ghost.popBack().id)
		}
		return
	}
}

// evictMain evicts one object that was not used since its last turn.
func (c *S3FIFO) evictMain() {
	for c.main.count > 0 {
		n := c.main.popBack()
		if n.count == 0 {
			delete(c.index, n.id)
			return
		}
		n.count--
		c.main.pushFront(n)
	}
}
