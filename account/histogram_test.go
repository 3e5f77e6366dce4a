package account

import (
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// shown returns how a spread looks to Prometheus.
func shown(t rapid.TB, s *spread) *dto.Histogram {
	t.Helper()
	var l Latency
	s.addTo(&l)
	c := &collector{ledger: &Ledger{}}
	out := make(chan prometheus.Metric, 1)
	c.histogram(out, prometheus.NewDesc("took", "", nil, nil), l, new(exampleRow))
	var m dto.Metric
	if err := (<-out).Write(&m); err != nil {
		t.Fatal(err)
	}
	m.Histogram.CreatedTimestamp = nil
	return m.Histogram
}

// Whatever the durations, both histograms are what the client library makes of them.
func TestHistogramsAreThoseOfTheLibrary(t *testing.T) {
	var classic []float64
	for _, b := range LatencyBounds() {
		classic = append(classic, b.Seconds())
	}
	rapid.Check(t, func(t *rapid.T) {
		library := prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "took", Buckets: classic, NativeHistogramBucketFactor: 1.1, NativeHistogramZeroThreshold: math.Exp2(-23),
		})
		var ours spread
		took := rapid.OneOf(
			rapid.Int64Range(0, 300),
			rapid.Custom(func(t *rapid.T) int64 { // as many of each magnitude
				return rapid.Int64Range(0, int64(1)<<rapid.IntRange(0, 36).Draw(t, "bits")).Draw(t, "nanos")
			}),
			rapid.SampledFrom([]int64{int64(time.Second), int64(10 * time.Microsecond), int64(2500 * time.Millisecond), int64(128 * time.Second), int64(64 * time.Second)}),
		)
		for range rapid.IntRange(0, 40).Draw(t, "reads") {
			d := time.Duration(took.Draw(t, "took"))
			library.Observe(d.Seconds())
			ours.add(d)
		}
		var m dto.Metric
		if err := library.Write(&m); err != nil {
			t.Fatal(err)
		}
		want, got := m.Histogram, shown(t, &ours)
		want.CreatedTimestamp = nil
		if d := want.GetSampleSum() - got.GetSampleSum(); math.Abs(d) > 1e-6 {
			t.Fatalf("the sum is off by %g", d)
		}
		want.SampleSum = got.SampleSum
		if !proto.Equal(want, got) {
			t.Fatalf("got\n%s\nwant\n%s", prototext.Format(got), prototext.Format(want))
		}
	})
}

func TestDurationsBeyondEveryBound(t *testing.T) {
	var s spread
	s.add(-time.Second)
	s.add(time.Hour)
	s.add(math.MaxInt64)
	h := shown(t, &s)
	if h.GetSampleCount() != 3 || h.GetZeroCount() != 1 || len(h.GetPositiveSpan()) != 1 || h.GetPositiveSpan()[0].GetOffset() != nativeTo {
		t.Errorf("%s", prototext.Format(h))
	}
	if last := h.GetBucket()[len(h.GetBucket())-1]; last.GetCumulativeCount() != 1 {
		t.Errorf("%d within the last bound, want 1", last.GetCumulativeCount())
	}
}

type traceKey struct{}

// A traced read is the exemplar of the bucket it is in, for requests and for its tier.
func TestTracedReadsAreExemplars(t *testing.T) {
	b := blocktest.Block(1, 10)
	defer b.Release()
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{Trace: func(ctx context.Context) string { id, _ := ctx.Value(traceKey{}).(string); return id }})
		r := l.Requests(l.Reader(block.Disk, block.ReaderFunc(func(ctx context.Context, _ block.ID) (block.Block, error) {
			took, _ := time.ParseDuration(ctx.Value(traceKey{}).(string)[:3])
			time.Sleep(took) //nolint:forbidigo // the time of the synctest bubble
			return b.Retain().WithFrom(block.Disk), nil
		})))
		for _, id := range []string{"3ms-former", "4ms-later", "20s-long"} {
			read(context.WithValue(t.Context(), traceKey{}, id), r, b.ID())
		}
		text := openMetrics(t, l)
		for _, want := range []string{
			`cached_block_read_duration_seconds_bucket{cause="demand",tier="l2",le="0.005"} 2 # {trace_id="4ms-later"} 0.004 `,
			`cached_block_read_duration_seconds_bucket{cause="demand",tier="l2",le="+Inf"} 3 # {trace_id="20s-long"} 20.0 `,
			`cached_tier_read_duration_seconds_bucket{tier="l2",le="0.005"} 2 # {trace_id="4ms-later"} 0.004 `,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("nowhere: %s", want)
			}
		}
		if n := strings.Count(text, "trace_id"); n != 4 {
			t.Errorf("%d exemplars, want 4", n)
		}
	})
}

// openMetrics returns what a Prometheus is shown that asks for OpenMetrics.
func openMetrics(t *testing.T, l *Ledger) string {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(l.Collector(Gauges{}))
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	req.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true}).ServeHTTP(w, req)
	return w.Body.String()
}
