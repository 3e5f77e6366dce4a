package disk

import (
	"slices"

	"github.com/zonecache/cached/block"
)

// The eviction policy is S3-FIFO (Yang et al., SOSP '23) on segments instead of
// objects, because a disk wants to be written and freed in large pieces.
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
type policy struct {
	logs   [logCount][]*segment // full and committed, oldest first
	bytes  [logCount]int64
	order  uint64
	ghost  ghost
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

// A fate is what becomes of a segment whose turn it is.
type fate uint8

const (
	spared  fate = iota // it lives on whole
	carried             // it goes, what must be kept is rewritten
	dropped             // it goes with all that is in it
)

// logFor returns where a block that the tier does not hold belongs.
func (p *policy) logFor(id block.ID) logName {
	if p.ghost.take(id) {
		return mainLog
	}
	return smallLog
}

// wrote earns tokens for n bytes of new blocks.
func (p *policy) wrote(n int) {
	p.tokens = min(p.tokens+int64(n)/rewriteShare, p.burst)
}

// push makes s the newest of its log.
func (p *policy) push(s *segment) {
	p.logs[s.log] = append(p.logs[s.log], s)
	p.bytes[s.log] += s.size
}

// remove takes s out of its log, and reports whether it was there.
func (p *policy) remove(s *segment) bool {
	i := slices.Index(p.logs[s.log], s)
	if i < 0 {
		return false
	}
	p.logs[s.log] = slices.Delete(p.logs[s.log], i, i+1)
	p.bytes[s.log] -= s.size
	return true
}

// nextOrder returns the rank of a segment that is opened or spared now.
func (p *policy) nextOrder() uint64 {
	p.order++
	return p.order
}

// pop takes the segment whose turn it is, or nil when there is none.
func (p *policy) pop() *segment {
	log := mainLog
	if len(p.logs[mainLog]) == 0 ||
		p.bytes[smallLog]*smallShare > p.bytes[smallLog]+p.bytes[mainLog] {
		log = smallLog
	}
	if len(p.logs[log]) == 0 {
		return nil
	}
	s := p.logs[log][0]
	p.logs[log][0] = nil
	p.logs[log] = p.logs[log][1:]
	p.bytes[log] -= s.size
	return s
}

// len returns how many segments could be reclaimed.
func (p *policy) len() int { return len(p.logs[smallLog]) + len(p.logs[mainLog]) }

// judge decides about s. Every round takes heat away, but readers add it: after a
// round through all segments one must go. What must be kept goes only where there
// is nothing else left: when more is kept than the tier has room for, or others
// take the space.
func (p *policy) judge(mode reclaimMode, s *segment, hotBytes, keptBytes int64) fate {
	heavy := keptBytes*keptWhole >= s.used*keptParts
	rounds, verdict := 1, carried
	switch {
	case mode == shrink && keptBytes > 0:
		verdict = dropped
	case mode == shrink:
		rounds, verdict = 0, dropped
	case heavy:
		rounds, verdict = 2, dropped
	case hotBytes*spareShare < s.used && (hotBytes+keptBytes)*keptWhole < s.used*keptParts:
		rounds = 0
	}
	if rounds == 0 || p.spared > rounds*p.len() {
		p.spared = 0
		return verdict
	}
	p.spared++
	return spared
}

// spare moves s to the end of the main log. What enters it must prove itself
// there; what already was there has one chance less.
func (p *policy) spare(s *segment) {
	if s.log == mainLog {
		s.heat.cool()
	} else {
		s.heat.clear()
	}
	s.log = mainLog
	s.order = p.nextOrder()
	p.push(s)
}

// keep chooses which of the hot records, sorted hottest first, are rewritten,
// and pays for them.
func (p *policy) keep(hot []record) []record {
	n := 0
	for n < len(hot) && int64(hot[n].length) <= p.tokens {
		p.tokens -= int64(hot[n].length)
		n++
	}
	return hot[:n]
}
