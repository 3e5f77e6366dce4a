package agent

import "sync"

// Bounds of what is fetched ahead.
const (
	streams    = 16  // programs that read on at the same time, as far as is remembered
	jump       = 4   // blocks that a program may skip and still be reading on
	maxFirst   = 8   // blocks ahead of a read that does not continue anything
	judgeAfter = 64  // blocks fetched ahead, until their use decides how many come next
	tryAfter   = 512 // reads without neighbours, until a few are tried again
	tryWith    = 8   // neighbours
)

// A pattern decides how many blocks are fetched ahead. A read that continues an
// earlier one doubles what is fetched ahead of it, as the kernel's own read-ahead
// does. For a read that continues nothing, how many neighbours are fetched depends
// on how many of the latest were used: half of them, or more, and it doubles;
// fewer than a quarter, and it is halved, down to none.
type pattern struct {
	limit int // blocks ahead at most; 0: none

	mu      sync.Mutex
	clock   uint64
	streams [streams]stream
	first   int // blocks ahead of a read that continues nothing
	fetched int // ahead, since the last judgement
	used    int // of them
	idle    int // reads since first became 0
	trying  bool
}

// A stream is a program that reads on.
type stream struct {
	last int // block that was read
	end  int // behind the blocks that were fetched ahead of it
	size int // blocks ahead
	used uint64
}

func newPattern(limit int) *pattern {
	p := &pattern{limit: max(limit, 0), first: min(2, max(limit, 0))}
	for i := range p.streams {
		p.streams[i].last = -1 - jump // nobody
	}
	return p
}

// touched says that a program reads block i of n, and returns which blocks are
// fetched ahead: from, and those behind it until to.
func (p *pattern) touched(i, n int) (from, to int) {
	if p.limit == 0 {
		return 0, 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clock++
	oldest := &p.streams[0]
	for k := range p.streams {
		s := &p.streams[k]
		switch {
		case i == s.last:
			s.used = p.clock
			return 0, 0
		case i > s.last && i <= s.last+jump:
			return p.readOn(s, i, n)
		case s.used < oldest.used:
			oldest = s
		}
	}
	if p.first == 0 {
		if p.idle++; p.idle >= tryAfter { // times may have changed
			p.first, p.idle, p.trying = 1, 0, true
			p.fetched, p.used = 0, 0
		}
	}
	*oldest = stream{last: i, size: p.first, end: min(i+1+p.first, n), used: p.clock}
	return i + 1, oldest.end
}

// readOn lets the stream go on at i.
func (p *pattern) readOn(s *stream, i, n int) (from, to int) {
	s.last, s.used = i, p.clock
	if s.end-i > s.size/2+1 { // enough is ahead
		return 0, 0
	}
	s.size = min(max(2*s.size, 1), p.limit)
	from = max(s.end, i+1)
	s.end = max(min(i+1+s.size, n), from)
	return from, s.end
}

// ahead counts blocks that are fetched ahead, and hit one of them that a program
// has used.
func (p *pattern) ahead(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	enough := judgeAfter
	if p.trying {
		enough = tryWith
	}
	if p.fetched += n; p.fetched < enough {
		return
	}
	switch {
	case 2*p.used >= p.fetched:
		p.first = min(max(2*p.first, 1), maxFirst, p.limit)
	case 4*p.used < p.fetched:
		p.first /= 2
	}
	p.fetched, p.used, p.trying = 0, 0, false
}

func (p *pattern) hit() {
	p.mu.Lock()
	p.used++
	p.mu.Unlock()
}
