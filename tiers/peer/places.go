package peer

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/zonecache/cached/block"
)

// patientFor is how long a send lets others pass it in line.
const patientFor = 250 * time.Millisecond

// places are the few places on the wire, and the line of sends that wait for
// one: those a program waits for before those it may need later, in the order
// they came; who has waited for long is not passed any more.
type places struct {
	mu     sync.Mutex
	total  int
	free   int // may be less than none, when there are fewer than there were
	placed []*place
	line   []*place
	looked time.Time // when the sends were last seen to move
}

// A place is one send's, in line or on the wire.
type place struct {
	source *block.Arrival
	cause  block.Cause
	since  time.Time     // when it came into line
	come   chan struct{} // closed when it is on the wire; nil if it was at once
	have   int           // bytes of the source when the sends were last looked at
}

// enter returns a place for a send from source, which exit must be given back,
// waiting for it in line. It returns w's error, or ctx's.
func (p *places) enter(ctx context.Context, w *waiting, source *block.Arrival) (*place, error) {
	mine := &place{source: source, cause: block.CallFrom(ctx).Cause}
	p.mu.Lock()
	if p.free > 0 {
		p.free--
		p.placeLocked(mine)
		p.mu.Unlock()
		return mine, nil
	}
	mine.come, mine.since = make(chan struct{}), time.Now()
	p.line = append(p.line, mine)
	p.mu.Unlock()

	for {
		come, err := w.wait(ctx, mine.come, nil)
		switch {
		case come:
			return mine, nil
		case err == nil:
			p.relieve(time.Now())
			continue
		}
		p.exit(mine)
		return nil, err
	}
}

// exit gives a place back, to the next in line.
func (p *places) exit(mine *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.exitLocked(mine)
}

func (p *places) exitLocked(mine *place) {
	if i := slices.Index(p.line, mine); i >= 0 {
		p.line = slices.Delete(p.line, i, i+1)
	}
	i := slices.Index(p.placed, mine)
	if i < 0 {
		return
	}
	p.placed = slices.Delete(p.placed, i, i+1)
	p.free++
	p.fillLocked()
}

// fillLocked gives the places that are free to those in line.
func (p *places) fillLocked() {
	for p.free > 0 && len(p.line) > 0 {
		at := p.nextLocked(time.Now())
		next := p.line[at]
		p.line = slices.Delete(p.line, at, at+1)
		p.free--
		p.placeLocked(next)
		close(next.come)
	}
}

// resize makes it so many places. Who has one keeps it.
func (p *places) resize(total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free += total - p.total
	p.total = total
	p.fillLocked()
}

// nextLocked returns whose turn it is in line, which has somebody.
func (p *places) nextLocked(now time.Time) int {
	at := 0
	for i, s := range p.line {
		if now.Sub(p.line[at].since) >= patientFor {
			break
		}
		if s.cause < p.line[at].cause {
			at = i
		}
	}
	return at
}

func (p *places) placeLocked(mine *place) {
	mine.have = -1
	p.placed = append(p.placed, mine)
}

// relieve gives away the places of sends whose source has brought nothing for a
// while. They go on as soon as it does, one more on the wire than there should be.
func (p *places) relieve(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.looked) < queuedEvery {
		return
	}
	p.looked = now
	for _, s := range slices.Clone(p.placed) {
		have := s.source.Have()
		if have == s.have && have < s.source.Size() {
			p.exitLocked(s)
		}
		s.have = have
	}
}
