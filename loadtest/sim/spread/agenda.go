package spread

import (
	"math/bits"
	"time"
)

// A happening is what happens at a moment; n is what it was scheduled with.
type happening interface{ happen(n int) }

type action func()

func (f action) happen(int) { f() }

type event struct {
	at   time.Duration
	turn uint64 // breaks ties by age, so that a run repeats
	do   happening
	n    int
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.turn < o.turn }

// An agenda is the queue of what happens next: buckets of a few events each for
// what is near, of which only the one at hand is in order, and a heap beyond.
type agenda struct {
	now  time.Duration
	turn uint64

	shift  int // a bucket is 1<<shift ns long
	at     int64
	hand   eventHeap // the bucket at, and what is late
	ring   [ringSize][]event
	inRing int
	beyond eventHeap
}

const ringSize = 1 << 12

// newAgenda returns an agenda for events that come one each interval on average.
func newAgenda(interval time.Duration) *agenda {
	const perBucket = 8
	return &agenda{shift: bits.Len64(uint64(min(max(perBucket*interval, 256), 100*time.Microsecond))) - 1}
}

func (a *agenda) schedule(at time.Duration, do happening, n int) {
	a.turn++
	e := event{at: at, turn: a.turn, do: do, n: n}
	switch bucket := int64(at) >> a.shift; {
	case bucket <= a.at:
		a.hand.push(e)
	case bucket < a.at+ringSize:
		a.ring[bucket%ringSize] = append(a.ring[bucket%ringSize], e)
		a.inRing++
	default:
		a.beyond.push(e)
	}
}

func (a *agenda) after(d time.Duration, f func()) { a.schedule(a.now+d, action(f), 0) }

// run lets things happen until nothing more does, and returns how many did.
func (a *agenda) run() (events int) {
	for {
		for len(a.hand) > 0 {
			e := a.hand.pop()
			a.now = e.at
			e.do.happen(e.n)
			events++
		}
		if !a.advance() {
			return events
		}
	}
}

// advance takes the next bucket that has events to hand.
func (a *agenda) advance() bool {
	switch {
	case a.inRing > 0:
		for a.at++; len(a.ring[a.at%ringSize]) == 0; a.at++ {
			a.draw()
		}
	case len(a.beyond) > 0:
		a.at = int64(a.beyond[0].at) >> a.shift
	default:
		return false
	}
	a.draw()
	bucket := &a.ring[a.at%ringSize]
	a.inRing -= len(*bucket)
	for i := range *bucket {
		a.hand.push((*bucket)[i])
		(*bucket)[i] = event{}
	}
	*bucket = (*bucket)[:0]
	return true
}

// draw moves what the ring reaches now from beyond into it.
func (a *agenda) draw() {
	for len(a.beyond) > 0 && int64(a.beyond[0].at)>>a.shift < a.at+ringSize {
		e := a.beyond.pop()
		bucket := (int64(e.at) >> a.shift) % ringSize
		a.ring[bucket] = append(a.ring[bucket], e)
		a.inRing++
	}
}

// An eventHeap has its first event at the top. container/heap would allocate for
// each event.
type eventHeap []event

func (h *eventHeap) push(e event) {
	s := append(*h, e)
	i := len(s) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !e.before(&s[up]) {
			break
		}
		s[i] = s[up]
		i = up
	}
	s[i] = e
	*h = s
}

func (h *eventHeap) pop() event {
	s := *h
	first, last := s[0], s[len(s)-1]
	s[len(s)-1] = event{}
	s = s[:len(s)-1]
	*h = s
	if len(s) == 0 {
		return first
	}
	i := 0
	for {
		down := 2*i + 1
		if down >= len(s) {
			break
		}
		if down+1 < len(s) && s[down+1].before(&s[down]) {
			down++
		}
		if !s[down].before(&last) {
			break
		}
		s[i] = s[down]
		i = down
	}
	s[i] = last
	return first
}
