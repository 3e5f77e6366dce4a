package agent

import (
	"maps"
	"sync"
	"time"
)

// The kernel makes several reads of one of a program, one after the other: what it reads
// ahead, and then, because that failed, the page alone, and for a page fault, or through
// a loop device, once or twice more.
const (
	around  = 2 << 20 // as far from a read that failed, twice as far as the kernel reads ahead,
	doubted = 10      // and for one in so much of the deadline, others are taken for the same of a program
	hurried = 50      // one in so much of it is all that they get then
)

// patience says how long reads wait: a deadline in all, also where the kernel makes
// several of one.
type patience struct {
	deadline time.Duration

	mu     sync.Mutex
	failed map[int]time.Time // blocks that nobody could serve within the deadline, until when that is remembered
}

// by returns when a read of the blocks from first to last that begins now has to end,
// and whether it is one that has failed before.
func (p *patience) by(first, last int) (by time.Time, again bool) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := first; len(p.failed) > 0 && i <= last; i++ {
		if now.Before(p.failed[i]) {
			return now.Add(p.deadline / hurried), true
		}
	}
	return now.Add(p.deadline), false
}

// ranOut notes that a read has waited for its deadline in vain, for the blocks around it
// from first to last. Reads that fail again do not prolong that: the next one of a program
// is patient.
func (p *patience) ranOut(first, last int) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.failed, func(_ int, until time.Time) bool { return !now.Before(until) })
	if p.failed == nil {
		p.failed = map[int]time.Time{}
	}
	for i := first; i <= last; i++ {
		p.failed[i] = now.Add(p.deadline / doubted)
	}
}
