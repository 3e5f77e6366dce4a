package block

import (
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
)

// pageSize is the granularity of allocations, and the alignment of every
// buffer, which direct I/O needs.
const pageSize = 4096

// slackSize is room beyond MaxSize, so that a medium can read the sectors
// around a block of the largest size.
const slackSize = 2 * pageSize

// DefaultIdle is how many bytes of free memory a pool keeps resident.
const DefaultIdle = 32 << 20

// DefaultPool serves everything that does not name a pool of its own.
var DefaultPool = NewPool(DefaultIdle)

// A Pool recycles page-aligned buffers in size classes of 1/8 octave. Free
// buffers stay resident up to the idle limit; beyond it their pages go back to
// the operating system at once, so resident memory is bytes in use plus idle.
type Pool struct {
	idleLimit int64
	inUse     atomic.Int64
	idle      atomic.Int64
	classes   [classCount]freeList
}

// A freeList holds the free buffers of one class: warm ones keep their pages,
// cold ones keep only their addresses.
type freeList struct {
	mu   sync.Mutex
	warm [][]byte
	cold [][]byte
	rest []byte // the uncut end of the newest arena
}

// NewPool returns a pool that keeps at most idle bytes of free memory resident.
func NewPool(idle int64) *Pool { return &Pool{idleLimit: idle} }

// Get returns a buffer with a payload of n bytes, contents undefined.
// It panics if n is negative or more than a block plus the slack can hold.
func (p *Pool) Get(n int) *Buffer {
	if n < 0 || n > MaxSize+slackSize {
		panic(fmt.Sprintf("block: buffer of %d bytes asked for", n))
	}
	class := classOf(n)
	size := classSize(class)
	p.inUse.Add(int64(size))
	m, resident := p.take(class, size)
	if !resident && n >= populated {
		populate(m[:(n+pageSize-1)/pageSize*pageSize])
	}
	return &Buffer{pool: p, class: class, full: m, n: n}
}

// populated is from how many bytes on it is worth a system call to make pages resident
// before they are written.
const populated = 4 * pageSize

// InUse returns the bytes handed out and not yet returned.
func (p *Pool) InUse() int64 { return p.inUse.Load() }

// Idle returns the bytes kept resident for the next Get.
func (p *Pool) Idle() int64 { return p.idle.Load() }

// take returns memory of the class, and whether it is resident.
func (p *Pool) take(class, size int) (m []byte, resident bool) {
	f := &p.classes[class]
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.warm); n > 0 {
		m := f.warm[n-1]
		f.warm[n-1] = nil
		f.warm = f.warm[:n-1]
		p.idle.Add(-int64(size))
		return m, true
	}
	if n := len(f.cold); n > 0 {
		m := f.cold[n-1]
		f.cold[n-1] = nil
		f.cold = f.cold[:n-1]
		return m, false
	}
	if len(f.rest) < size {
		f.rest = newArena(size)
	}
	m = f.rest[:size:size]
	f.rest = f.rest[size:]
	return m, false
}

// Trim gives all idle memory back to the system: nothing is expected to be read soon.
func (p *Pool) Trim() {
	for class := range p.classes {
		f := &p.classes[class]
		f.mu.Lock()
		warm := f.warm
		f.warm = nil
		f.mu.Unlock()
		for _, m := range warm {
			p.idle.Add(-int64(len(m)))
			discard(m)
		}
		f.mu.Lock()
		f.cold = append(f.cold, warm...)
		f.mu.Unlock()
	}
}

func (p *Pool) put(b *Buffer) {
	m := b.full
	if m == nil {
		panic("block: buffer released twice")
	}
	size := int64(len(m))
	b.full = nil
	p.inUse.Add(-size)
	poison(m)
	f := &p.classes[b.class]
	if p.idle.Add(size) <= p.idleLimit {
		f.mu.Lock()
		f.warm = append(f.warm, m)
		f.mu.Unlock()
		return
	}
	p.idle.Add(-size)
	discard(m)
	f.mu.Lock()
	f.cold = append(f.cold, m)
	f.mu.Unlock()
}

// Classes are counted in pages: 1..8 one by one, then eight steps an octave.
const (
	maxPages   = (MaxSize + slackSize + pageSize - 1) / pageSize
	classCount = 8 + 8*6
)

// classOf returns the smallest class that holds n bytes.
func classOf(n int) int {
	pages := max((n+pageSize-1)/pageSize, 1)
	if pages <= 8 {
		return pages - 1
	}
	// pages in (2^k, 2^(k+1)] with k >= 3: eight steps of 2^(k-3) pages.
	k := bits.Len(uint(pages-1)) - 1
	step := 1 << (k - 3)
	return 8*(k-2) + (pages-(1<<k)+step-1)/step - 1
}

// classSize returns the bytes of a buffer of the class.
func classSize(class int) int {
	if class < 8 {
		return (class + 1) * pageSize
	}
	k := class/8 + 2
	return ((1 << k) + (class%8+1)<<(k-3)) * pageSize
}
