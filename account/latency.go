package account

import (
	"sync/atomic"
	"time"
)

// latencyBounds are the upper bounds of the buckets of every duration: three a
// decade from 10 µs, which a memory hit stays below, to 10 s.
var latencyBounds = [...]time.Duration{
	10 * time.Microsecond, 25 * time.Microsecond, 50 * time.Microsecond,
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

const bucketCount = len(latencyBounds) + 1

// A tally counts reads and their bytes.
type tally struct{ blocks, bytes atomic.Int64 }

func (t *tally) add(bytes int) {
	t.blocks.Add(1)
	if bytes != 0 {
		t.bytes.Add(int64(bytes))
	}
}

func (t *tally) moveTo(o *tally) {
	o.blocks.Add(t.blocks.Swap(0))
	o.bytes.Add(t.bytes.Swap(0))
}

func (t *tally) count() Count { return Count{t.blocks.Load(), t.bytes.Load()} }

// A Latency is the distribution of the durations of reads.
type Latency struct {
	Buckets []int64       `json:"buckets"`  // reads at most as long as the bound of the same index and longer than the one before; one more for the rest
	Total   time.Duration `json:"total_ns"` // the sum of all durations

	fine []int64 // the same by fineBuckets
}

// LatencyBounds returns the upper bounds of [Latency.Buckets], except the last,
// which has none.
func LatencyBounds() []time.Duration { return append([]time.Duration(nil), latencyBounds[:]...) }

// Count returns the number of reads.
func (l Latency) Count() int64 {
	n := int64(0)
	for _, v := range l.Buckets {
		n += v
	}
	return n
}

// Quantile returns a duration that the share q of the reads did not exceed,
// interpolated within its bucket; zero if there are none. Reads beyond the last
// bound count as that bound.
func (l Latency) Quantile(q float64) time.Duration {
	rank := q * float64(l.Count())
	below, lower := 0.0, time.Duration(0)
	for i, bound := range latencyBounds {
		if i >= len(l.Buckets) {
			break
		}
		n := float64(l.Buckets[i])
		if n > 0 && below+n >= rank {
			return lower + time.Duration(float64(bound-lower)*(rank-below)/n)
		}
		below += n
		lower = bound
	}
	if below == float64(l.Count()) {
		return 0
	}
	return lower
}
