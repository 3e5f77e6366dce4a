package evict

import (
	"slices"

	"github.com/zonecache/cached/block"
)

// A Policy is S3-FIFO (Yang et al., SOSP '23) on segments instead of objects, because a disk
// wants to be written and freed in large pieces.
//
// A block seen for the first time goes to the small log. A segment's turn comes
// when it is the oldest of its log: blocks read since then are hot and live on
// in the main log, the others are evicted and remembered in the ghost. A block
// that comes back while the ghost remembers it goes to the main log at once. A
// scan therefore passes through the small log and never touches the main one,
// which gives its hot blocks a second chance the same way.
//
// Keeping a hot block costs a write, and flash has few. So a segment at least
// half of which is hot is spared whole, by moving it to the end of the main log
// in name only; from others hot blocks are rewritten, hottest first, as far as
// tokens go: one for every rewriteShare-th byte written for a new block.
type Policy[S interface {
	comparable
	Part() *Segment
}] struct {
	// Ghost remembers what was evicted.
	Ghost Ghost

	logs   [Logs][]S // full and committed, oldest first
	bytes  [Logs]int64
	order  uint64
	tokens int64 // bytes that may be rewritten
	burst  int64 // most tokens saved up
	spared int   // segments spared since one was dropped
}

const (
	smallShare   = 10 // the small log has at least 1/10 of the space
	rewriteShare = 16 // 6 % of what is written may be written again
	spareShare   = 2  // a segment is spared when 1/2 of it is hot

	keptParts, keptWhole = 3, 4 // or when 3/4 are kept, or kept and hot
)

// SetCapacity prepares for a tier of that many bytes.
func (p *Policy[S]) SetCapacity(bytes int64) {
	p.burst = min(SegmentSize(bytes), stdSegmentSize)
	// The ghost remembers as many blocks as the main log holds; 256 KiB each.
	p.Ghost.Resize(int(bytes / (256 << 10)))
}

// LogFor returns where a block that the tier does not hold belongs.
func (p *Policy[S]) LogFor(id block.ID) Log {
	if p.Ghost.Take(id) {
		return Main
	}
	return Small
}

// Wrote earns tokens for n bytes of new blocks.
func (p *Policy[S]) Wrote(n int) {
	p.tokens = min(p.tokens+int64(n)/rewriteShare, p.burst)
}

// Restore makes s, of an earlier run, the newest of its log.
func (p *Policy[S]) Restore(s S) {
	p.order = max(p.order, s.Part().Order)
	p.Push(s)
}

// Push makes s the newest of its log.
func (p *Policy[S]) Push(s S) {
	part := s.Part()
	p.logs[part.Log] = append(p.logs[part.Log], s)
	p.bytes[part.Log] += part.Size
}

// Remove takes s out of its log, and reports whether it was there.
func (p *Policy[S]) Remove(s S) bool {
	part := s.Part()
	i := slices.Index(p.logs[part.Log], s)
	if i < 0 {
		return false
	}
	p.logs[part.Log] = slices.Delete(p.logs[part.Log], i, i+1)
	p.bytes[part.Log] -= part.Size
	return true
}

// NextOrder returns the rank of a segment that is opened or spared now.
func (p *Policy[S]) NextOrder() uint64 {
	p.order++
	return p.order
}

// Pop takes the segment whose turn it is; false when there is none.
func (p *Policy[S]) Pop() (s S, ok bool) {
	log := Main
	if len(p.logs[Main]) == 0 ||
		p.bytes[Small]*smallShare > p.bytes[Small]+p.bytes[Main] {
		log = Small
	}
	if len(p.logs[log]) == 0 {
		return s, false
	}
	first := p.logs[log][0]
	p.logs[log][0] = s // let go of it
	p.logs[log] = p.logs[log][1:]
	p.bytes[log] -= first.Part().Size
	return first, true
}

// Len returns how many segments could be reclaimed.
func (p *Policy[S]) Len() int { return len(p.logs[Small]) + len(p.logs[Main]) }

// Spare moves s to the end of the main log. What enters it must prove itself
// there; what already was there has one chance less.
func (p *Policy[S]) Spare(s S) {
	part := s.Part()
	if part.Log == Main {
		part.Heat.cool()
	} else {
		part.Heat.clear()
	}
	part.Log = Main
	part.Order = p.NextOrder()
	p.Push(s)
}
