package account

import (
	"math"
	"math/bits"
	"slices"
	"sync/atomic"
	"time"
)

// Durations are counted once, in buckets so fine that both histograms which are
// shown are sums of them: the classic one with latencyBounds, and the native one
// with eight buckets for each doubling, which is Prometheus' schema 3 and at most
// 4.4 % off in the middle of a bucket. Two sets of counters could disagree.
const (
	nativeSchema    = 3
	bucketsAnOctave = 1 << nativeSchema
	nativeFrom      = -23 * bucketsAnOctave // up to 2^-23 s, 119 ns, all durations are alike
	nativeTo        = 7*bucketsAnOctave + 1 // beyond 2^7 s, 128 s, too
)

// nativeBound is the upper bound of a native bucket, in seconds.
func nativeBound(key int) float64 { return math.Exp2(float64(key) / bucketsAnOctave) }

// zeroThreshold is the upper bound, in seconds, of the durations that count as none.
var zeroThreshold = nativeBound(nativeFrom)

// A fineBucket says where the durations of one bucket belong.
type fineBucket struct {
	most    time.Duration // it has durations up to this, and longer than the bucket before
	classic int           // index in latencyBounds, or one beyond
	native  int           // key of the native bucket
}

// fineBuckets are in the order of their durations; the last has no bound.
var fineBuckets = newFineBuckets()

// octaves are, by the number of a duration's bits, the first bucket that such a
// duration can be in.
var octaves = newOctaves()

func newFineBuckets() []fineBucket {
	var all []fineBucket
	for key := nativeFrom; key < nativeTo; key++ {
		all = append(all, fineBucket{most: time.Duration(nativeBound(key) * float64(time.Second)), native: key})
	}
	for _, bound := range latencyBounds {
		all = append(all, fineBucket{most: bound, native: nativeTo})
	}
	slices.SortStableFunc(all, func(a, b fineBucket) int { return int(a.most - b.most) })
	all = slices.CompactFunc(all, func(a, b fineBucket) bool { return a.most == b.most }) // 1 s is in both
	all = append(all, fineBucket{most: math.MaxInt64, native: nativeTo})
	for i := len(all) - 2; i >= 0; i-- {
		all[i].native = min(all[i].native, all[i+1].native)
	}
	for i := range all {
		for all[i].classic < len(latencyBounds) && latencyBounds[all[i].classic] < all[i].most {
			all[i].classic++
		}
	}
	return all
}

func newOctaves() (first [65]uint16) {
	for n := range first {
		least := uint64(1) << max(n-1, 0)
		if n == 0 {
			least = 0
		}
		for first[n] < uint16(len(fineBuckets)-1) && uint64(fineBuckets[first[n]].most) < least {
			first[n]++
		}
	}
	return first
}

// fineBucketOf returns the index of a duration's bucket.
func fineBucketOf(took time.Duration) int {
	took = max(took, 0)
	i := int(octaves[bits.Len64(uint64(took))])
	for took > fineBuckets[i].most {
		i++
	}
	return i
}

// maxFineBuckets is len(fineBuckets), which is not known when this is compiled.
const maxFineBuckets = nativeTo - nativeFrom + len(latencyBounds) + 1

// A spread is how long reads took.
type spread struct {
	buckets [maxFineBuckets]atomic.Int64
	nanos   atomic.Int64
}

func (s *spread) add(took time.Duration) {
	s.buckets[fineBucketOf(took)].Add(1)
	s.nanos.Add(int64(took))
}

// addTo adds the spread to what a snapshot knows already, and returns how many
// reads that are.
func (s *spread) addTo(l *Latency) (reads int64) {
	if l.Buckets == nil {
		l.Buckets, l.fine = make([]int64, bucketCount), make([]int64, len(fineBuckets))
	}
	for i := range fineBuckets {
		n := s.buckets[i].Load()
		l.fine[i] += n
		l.Buckets[fineBuckets[i].classic] += n
		reads += n
	}
	l.Total += time.Duration(s.nanos.Load())
	return reads
}
