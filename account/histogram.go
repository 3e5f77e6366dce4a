package account

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// both is one histogram in two forms: classic buckets, for whoever reads text, and a
// native histogram, for whoever asks for protobuf.
type both struct{ native, classic prometheus.Metric }

// Desc implements [prometheus.Metric].
func (b both) Desc() *prometheus.Desc { return b.native.Desc() }

// Write implements [prometheus.Metric].
func (b both) Write(out *dto.Metric) error {
	if err := b.native.Write(out); err != nil {
		return err
	}
	var classic dto.Metric
	if err := b.classic.Write(&classic); err != nil {
		return err
	}
	out.Histogram.Bucket = classic.Histogram.Bucket
	return nil
}

// histogram shows how long reads took, and some of them that were traced.
func (c *collector) histogram(out sink, d *prometheus.Desc, l Latency, examples *exampleRow, labels ...string) {
	below := make(map[float64]uint64, len(latencyBounds))
	n := uint64(0)
	for i, bound := range latencyBounds {
		n += uint64(l.Buckets[i])
		below[bound.Seconds()] = n
	}
	n += uint64(l.Buckets[len(latencyBounds)])
	native := map[int]int64{}
	for i, reads := range l.fine[1:] {
		if reads > 0 {
			native[fineBuckets[i+1].native] += reads
		}
	}
	var m prometheus.Metric = both{
		native:  prometheus.MustNewConstNativeHistogram(d, n, l.Total.Seconds(), native, nil, uint64(l.fine[0]), nativeSchema, zeroThreshold, c.ledger.since, labels...),
		classic: prometheus.MustNewConstHistogram(d, n, l.Total.Seconds(), below, labels...),
	}
	if e := examples.exemplars(); len(e) > 0 {
		m = prometheus.MustNewMetricWithExemplars(m, e...)
	}
	out <- m
}
