package account

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zonecache/cached/block"
)

// examples are the latest traced reads, so that a histogram leads to traces.
type examples struct {
	requests [rowCount][causeCount]exampleRow
	media    [len(block.Tiers) + 1]exampleRow
}

// An exampleRow has one read for each bucket of the classic histogram.
type exampleRow [bucketCount]atomic.Pointer[example]

type example struct {
	trace string
	took  time.Duration
	at    time.Time
}

// note keeps a read that belongs to a trace; "" is none.
func (r *exampleRow) note(trace string, took time.Duration) {
	if trace != "" {
		r[fineBuckets[fineBucketOf(took)].classic].Store(&example{trace, took, time.Now()})
	}
}

func (r *exampleRow) exemplars() []prometheus.Exemplar {
	var all []prometheus.Exemplar
	for i := range r {
		if e := r[i].Load(); e != nil {
			all = append(all, prometheus.Exemplar{Value: e.took.Seconds(), Labels: prometheus.Labels{"trace_id": e.trace}, Timestamp: e.at})
		}
	}
	return all
}
