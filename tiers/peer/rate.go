package peer

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecache/cached/placement"
)

const (
	// rateSpan is how much busy time one measurement covers.
	rateSpan = 100 * time.Millisecond
	// rateBusy is how many sends at once keep an uplink busy: a few may be slow
	// because their readers are.
	rateBusy = 3
	// rateScale is how often the desk is told.
	rateScale = 500 * time.Millisecond
	// rateHalf is after which time half as much is enough to be the rate; and how
	// long a rate holds that is not measured again.
	rateHalf = time.Minute
)

// A rate measures this node's uplink while it is busy: the bytes sent in the
// time during which several sends were in progress.
type rate struct {
	typical atomic.Uint32 // in the zone, in Mbit/s; 0: not known

	mu     sync.Mutex
	sends  int
	busy   time.Duration // all busy time until since
	since  time.Time     // when it became busy
	mark   time.Duration // busy time at the last measurement
	bytes  float64       // sent in busy time since then
	mbits  float64       // the result
	noted  time.Time     // when it was measured last
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
// time. Its bytes count as far as the uplink was busy meanwhile. It reports whether
// the rate was measured anew.
func (r *rate) ended(n int, began, d time.Duration, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	busy := r.busyLocked(now)
	if r.sends--; r.sends == rateBusy-1 {
		r.busy = busy
	}
	if d > 0 {
		r.bytes += float64(n) * min(1, float64(busy-began)/float64(d))
	}
	span := busy - r.mark
	if span < rateSpan {
		return false
	}
	r.noteLocked(r.bytes*8/1e6/span.Seconds(), now)
	r.mark, r.bytes = busy, 0
	return true
}

func (r *rate) busyLocked(now time.Time) time.Duration {
	if r.sends < rateBusy {
		return r.busy
	}
	return r.busy + now.Sub(r.since)
}

// noteLocked keeps the highest measurement for a while. Sends are slower than the
// uplink where their readers are, or where they wait for bytes that still arrive;
// they are never faster.
func (r *rate) noteLocked(mbits float64, now time.Time) {
	old := r.mbits * math.Exp2(-now.Sub(r.noted).Seconds()/rateHalf.Seconds())
	r.mbits, r.noted = max(mbits, old), now
}

func (r *rate) value(now time.Time) uint32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mbits == 0 || now.Sub(r.noted) > rateHalf {
		return 0
	}
	return uint32(max(r.mbits, 1))
}

// due reports, now and then, that rates are to be compared.
func (r *rate) due(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.scaled) < rateScale {
		return false
	}
	r.scaled = now
	return true
}

// compare compares this node's rate with what is typical.
func (t *Tier) compare() {
	var rates []uint32
	for _, m := range t.opts.Ring().Members() {
		if m.Rate > 0 {
			rates = append(rates, m.Rate)
		}
	}
	typical := uint32(0)
	if len(rates) > 0 {
		slices.Sort(rates)
		typical = rates[len(rates)/2]
	}
	t.rate.typical.Store(typical)
	t.counter.scale(t.Rate(), typical)
}

// onTheWire returns how many sends may be on the wire at a time.
func (t *Tier) onTheWire(rate uint32) int {
	if t.opts.Limits.Active > 0 {
		return t.opts.Limits.Active
	}
	return placement.OnTheWire(rate)
}

// Part returns how much of what others do this node should take on, see
// [placement.Part]; all of it while nothing is known.
func (t *Tier) Part() float64 { return placement.Part(t.Rate(), t.rate.typical.Load()) }

// Rate returns the rate of this node's uplink while it is busy, in Mbit/s, for
// the others to know; 0 while it is not known.
func (t *Tier) Rate() uint32 { return t.rate.value(time.Now()) }
