package peer

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// rateSpan is how much busy time one measurement covers.
	rateSpan = 100 * time.Millisecond
	// rateBusy is how many sends at once keep an uplink busy: one alone may be
	// slow because its reader is.
	rateBusy = 2
	// rateScale is how often the desk is told.
	rateScale = 2 * time.Second
)

// A rate measures this node's uplink while it is busy: the bytes sent in the
// time during which several sends were in progress.
type rate struct {
	mbits atomic.Uint32 // the result; 0: not known

	mu     sync.Mutex
	sends  int
	busy   time.Duration // all busy time until since
	since  time.Time     // when it became busy
	mark   time.Duration // busy time at the last measurement
	bytes  float64       // sent in busy time since then
	scaled time.Time
}

// began notes a send and returns the busy time so far.
func (r *rate) began(now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	busy := r.busyLocked(now)
	if r.sends++; r.sends == rateBusy {
		r.since = now
	}
	return busy
}

// ended notes the end of a send of n bytes in d, which began at the given busy
// time. Its bytes count as far as the uplink was busy meanwhile.
func (r *rate) ended(n int, began, d time.Duration, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	busy := r.busyLocked(now)
	if r.sends--; r.sends == rateBusy-1 {
		r.busy = busy
	}
	if d > 0 {
		r.bytes += float64(n) * min(1, float64(busy-began)/float64(d))
	}
	if span := busy - r.mark; span >= rateSpan {
		r.note(r.bytes * 8 / 1e6 / span.Seconds())
		r.mark, r.bytes = busy, 0
	}
}

func (r *rate) busyLocked(now time.Time) time.Duration {
	if r.sends < rateBusy {
		return r.busy
	}
	return r.busy + now.Sub(r.since)
}

// note keeps what is closer to the uplink's rate: readers may be slower than it,
// never faster. So it follows up fast and down slowly.
func (r *rate) note(mbits float64) {
	old := float64(r.mbits.Load())
	switch {
	case old == 0:
	case mbits < old:
		mbits = old + (mbits-old)/8
	default:
		mbits = old + (mbits-old)/2
	}
	r.mbits.Store(uint32(max(mbits, 1)))
}

// due reports, now and then, that the desk is to be told.
func (r *rate) due(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.scaled) < rateScale {
		return false
	}
	r.scaled = now
	return true
}

// Rate returns the rate of this node's uplink while it is busy, in Mbit/s, for
// the others to know; 0 while it is not known.
func (t *Tier) Rate() uint32 { return t.rate.mbits.Load() }
