package peer

import (
	"math/rand/v2"
	"sync"
	"time"
)

const (
	firstPause = 500 * time.Millisecond
	maxPause   = 10 * time.Second
	// tolerated is the weight of failures in a row for which a node is passed by.
	tolerated = 4
	// noticePause is how long the word of others keeps this node from asking.
	noticePause = time.Second
)

// A State of a breaker.
type State uint8

// The states.
const (
	Closed   State = iota // the node is asked
	HalfOpen              // one read tries it
	Open                  // it is passed by
)

var stateNames = [...]string{Closed: "closed", HalfOpen: "half-open", Open: "open"}

// String returns "closed", "half-open" or "open".
func (s State) String() string { return stateNames[s] }

// A gravity is the weight of a failure.
type gravity int

const (
	faint gravity = 1         // it may be the fault of others: whose source dies breaks off
	light gravity = 2         // it may have been bad luck
	grave gravity = tolerated // it has cost enough the first time, as a stall or a lie
)

// A breaker remembers that a node fails, so that reads pass it by for a pause
// that doubles. When the pause is over one read tries the node while the others
// still pass it by.
type breaker struct {
	mu       sync.Mutex
	failures int       // in a row
	weight   gravity   // of these
	pauses   int       // in a row
	until    time.Time // end of the pause; zero: closed
	probing  time.Time // when the read that tries the node must have said how it went; zero: none does
	reason   string
}

// enter reports whether the node may be asked. Whoever may ask says afterwards
// how it went: succeeded, failed or withdrawn.
func (b *breaker) enter(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.until.IsZero():
		return true
	case now.Before(b.until) || now.Before(b.probing):
		return false
	}
	b.probing = now.Add(firstPause)
	return true
}

// passes reports whether enter would let a read in.
func (b *breaker) passes(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.until.IsZero() || !now.Before(b.until) && !now.Before(b.probing)
}

func (b *breaker) succeeded() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures, b.weight, b.pauses, b.until, b.probing, b.reason = 0, 0, 0, time.Time{}, time.Time{}, ""
}

// answered says that the node lives, though it gave no bytes. Whether what it says
// is true is another matter: only a block takes back the failures.
func (b *breaker) answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until, b.probing, b.reason = time.Time{}, time.Time{}, ""
}

// failed notes a failure and reports whether it began a pause.
func (b *breaker) failed(g gravity, reason string, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures++
	b.weight += g
	b.reason, b.probing = reason, time.Time{}
	switch {
	case now.Before(b.until):
		return false // of a read that was under way when the pause began
	case b.weight < tolerated:
		return false
	}
	b.pauses++
	b.until = now.Add(pause(b.pauses))
	return true
}

// withdrawn says that the one who was let in learned nothing.
func (b *breaker) withdrawn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = time.Time{}
}

// noticed opens the breaker for a moment because others say that the node is dead.
func (b *breaker) noticed(reason string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if until := now.Add(noticePause); until.After(b.until) {
		b.until, b.reason = until, reason
	}
}

func (b *breaker) state(now time.Time) (s State, failures int, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.until.IsZero():
		s = Closed
	case now.Before(b.until):
		s = Open
	default:
		s = HalfOpen
	}
	return s, b.failures, b.reason
}

// pause returns the n-th pause of a row, n >= 1, less up to a fifth of it so
// that the nodes of a zone do not come back together.
func pause(n int) time.Duration {
	d := maxPause
	if n <= 5 {
		d = min(firstPause<<(n-1), maxPause)
	}
	return d - rand.N(d/5)
}
