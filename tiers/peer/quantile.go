package peer

import (
	"math"
	"time"
)

// A quantile is what recent times say about those to come: counts in buckets whose bounds grow by
// a fifth root of two, 15 %, all halved after every few times.
type quantile struct {
	buckets [96]uint32 // from 20 us to 10 s and beyond
	total   uint32
	since   int // times since the last halving
}

const (
	quantileMin    = 20 // times until the quantile is known
	quantileHalve  = 512
	quantileFirst  = 20 * time.Microsecond
	quantileGrowth = 5 // buckets an octave
)

func (q *quantile) add(d time.Duration) {
	i := 0
	if d > quantileFirst {
		i = min(int(math.Log2(float64(d)/float64(quantileFirst))*quantileGrowth)+1, len(q.buckets)-1)
	}
	q.buckets[i]++
	q.total++
	if q.since++; q.since < quantileHalve {
		return
	}
	q.since, q.total = 0, 0
	for i := range q.buckets {
		q.buckets[i] /= 2
		q.total += q.buckets[i]
	}
}

// value returns the upper bound of the bucket that the share of all times does not
// exceed; false while too few times are known.
func (q *quantile) value(share float64) (time.Duration, bool) {
	if q.total < quantileMin {
		return 0, false
	}
	left := uint32(float64(q.total) * (1 - share)) // above it
	for i := len(q.buckets) - 1; i >= 0; i-- {
		if q.buckets[i] > left {
			return time.Duration(float64(quantileFirst) * math.Exp2(float64(i)/quantileGrowth)), true
		}
		left -= q.buckets[i]
	}
	return quantileFirst, true
}
