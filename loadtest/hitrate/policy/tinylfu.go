package policy

// A WTinyLFU is W-TinyLFU (Einziger, Friedman, Manes, ACM ToS 2017): a window of 1 % by
// LRU; what falls out of it stands against what the main part would evict, and the one
// that was used more often stays. The main part is an LRU in two segments, of which
// the protected one has four fifths. Where an object needs the room of several, it must
// have been used more often than each.
type WTinyLFU struct {
	windowLimit, mainLimit, protectedLimit int64
	capacity                               int64
	index                                  map[uint64]*node
	window, probation, protected           *list
	sketch                                 *Sketch
}

const (
	inWindow uint8 = iota
	inProbation
	inProtected
)

// sampleOf is after how many uses for each object it can hold a TinyLFU halves its
// counts, as the paper has it.
const sampleOf = 10

const sketchRows = 4

// NewWTinyLFU returns an empty W-TinyLFU of that many bytes, for objects of a mean size.
func NewWTinyLFU(capacity, mean int64) *WTinyLFU {
	items := max(capacity/max(mean, 1), 16)
	window := max(capacity/100, min(mean, capacity))
	main := capacity - window
	return &WTinyLFU{
		capacity: capacity, windowLimit: window, mainLimit: main, protectedLimit: main / 5 * 4,
		index: map[uint64]*node{}, window: newList(), probation: newList(), protected: newList(),
		sketch: NewSketch(sketchRows, 4*items, sampleOf*items),
	}
}

// Access implements [Cache].
func (c *WTinyLFU) Access(id uint64, size int64) bool {
	c.sketch.Use(id)
	if n, ok := c.index[id]; ok {
		c.used(n)
		return true
	}
	if size > c.capacity {
		return false
	}
	n := &node{id: id, size: size, in: inWindow}
	c.index[id] = n
	c.window.pushFront(n)
	for c.window.bytes > c.windowLimit {
		c.admit(c.window.popBack())
	}
	return false
}

func (c *WTinyLFU) used(n *node) {
	switch n.in {
	case inWindow:
		c.window.moveToFront(n)
	case inProtected:
		c.protected.moveToFront(n)
	default:
		c.probation.remove(n)
		n.in = inProtected
		c.protected.pushFront(n)
		for c.protected.bytes > c.protectedLimit {
			down := c.protected.popBack()
			down.in = inProbation
			c.probation.pushFront(down)
		}
	}
}

// admit lets what fell out of the window into the main part, or not.
func (c *WTinyLFU) admit(n *node) {
	need := c.probation.bytes + c.protected.bytes + n.size - c.mainLimit
	if n.size > c.mainLimit || !c.beats(n, need) {
		delete(c.index, n.id)
		return
	}
	for c.probation.bytes+c.protected.bytes+n.size > c.mainLimit {
		from := c.probation
		if from.count == 0 {
			from = c.protected
		}
		delete(c.index, from.popBack().id)
	}
	n.in = inProbation
	c.probation.pushFront(n)
}

// beats reports whether n was used more often than each of those whose room it needs.
func (c *WTinyLFU) beats(n *node, need int64) bool {
	if need <= 0 {
		return true
	}
	uses := c.sketch.Count(n.id)
	for _, l := range []*list{c.probation, c.protected} {
		for victim := l.root.prev; victim != &l.root && need > 0; victim = victim.prev {
			if c.sketch.Count(victim.id) >= uses {
				return false
			}
			need -= victim.size
		}
	}
	return true
}
