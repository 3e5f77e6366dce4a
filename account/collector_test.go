package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

type room struct{}

func (room) Used() int64      { return 10 }
func (room) Capacity() int64  { return 20 }
func (room) Evictions() int64 { return 3 }
func (room) Declines() int64  { return 4 }

// diskRoom has the health of its writes beside its size.
type diskRoom struct {
	bareRoom
	sick error
}

func (diskRoom) BytesWritten() int64   { return 500 }
func (diskRoom) BytesRewritten() int64 { return 60 }
func (diskRoom) WriteErrors() int64    { return 7 }
func (diskRoom) Lost() int64           { return 8 }
func (d diskRoom) Sick() error         { return d.sick }

type bareRoom struct{}

func (bareRoom) Used() int64     { return 1 }
func (bareRoom) Capacity() int64 { return 2 }

func registry(t *testing.T, l *Ledger) *prometheus.Registry {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(l.Collector(Gauges{Tiers: map[block.Tier]Size{block.Memory: room{}, block.Disk: diskRoom{}}}))
	return r
}

func TestSeriesAreNamedAsPrometheusWants(t *testing.T) {
	problems, err := testutil.GatherAndLint(registry(t, New(Options{})))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// Every series is there before anything happened, or rates of first events are
// lost.
func TestSeriesAreThereFromTheStart(t *testing.T) {
	want := map[string]int{
		"cached_block_reads_total":            5 * 3,
		"cached_block_read_bytes_total":       5 * 3,
		"cached_block_read_duration_seconds":  5,
		"cached_block_read_errors_total":      6,
		"cached_requests_in_flight":           1,
		"cached_tier_reads_total":             4 * 7,
		"cached_tier_read_bytes_total":        4,
		"cached_tier_read_duration_seconds":   4,
		"cached_tier_offers_total":            4,
		"cached_integrity_failures_total":     3,
		"cached_tier_used_bytes":              2,
		"cached_tier_capacity_bytes":          2,
		"cached_tier_evictions_total":         1,
		"cached_tier_declines_total":          1,
		"cached_tier_written_bytes_total":     1,
		"cached_tier_rewritten_bytes_total":   1,
		"cached_tier_write_errors_total":      1,
		"cached_tier_lost_blocks_total":       1,
		"cached_tier_sick":                    1,
		"cached_origin_requests_total":        6,
		"cached_origin_read_bytes_total":      1,
		"cached_origin_distinct_blocks":       1,
		"cached_origin_distinct_saturated":    1,
		"cached_origin_refetched_bytes_total": 1,
		"cached_shared_reads_total":           1,
	}
	families, err := registry(t, New(Options{})).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if got := len(f.GetMetric()); got != want[f.GetName()] {
			t.Errorf("%s: %d series, want %d", f.GetName(), got, want[f.GetName()])
		}
		delete(want, f.GetName())
	}
	for name := range want {
		t.Errorf("%s is missing", name)
	}
}

func TestSeriesShowTheHealthOfWrites(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want int
	}{"well": {nil, 0}, "sick": {errors.New("no space left on device"), 1}} {
		t.Run(name, func(t *testing.T) {
			reg := prometheus.NewPedanticRegistry()
			reg.MustRegister(New(Options{}).Collector(Gauges{Tiers: map[block.Tier]Size{
				block.Memory: bareRoom{}, block.Disk: diskRoom{sick: tt.err},
			}}))
			want := fmt.Sprintf(`
# HELP cached_tier_lost_blocks_total Blocks a tier accepted and gave up, because its medium failed.
# TYPE cached_tier_lost_blocks_total counter
cached_tier_lost_blocks_total{tier="l2"} 8
# HELP cached_tier_rewritten_bytes_total Bytes a tier held already and wrote once more, to keep them.
# TYPE cached_tier_rewritten_bytes_total counter
cached_tier_rewritten_bytes_total{tier="l2"} 60
# HELP cached_tier_sick 1 while a tier declines all it is offered, because its medium takes no writes.
# TYPE cached_tier_sick gauge
cached_tier_sick{tier="l2"} %d
# HELP cached_tier_write_errors_total Writes a tier's medium refused.
# TYPE cached_tier_write_errors_total counter
cached_tier_write_errors_total{tier="l2"} 7
# HELP cached_tier_written_bytes_total Bytes a tier wrote to its medium, rewritten ones included.
# TYPE cached_tier_written_bytes_total counter
cached_tier_written_bytes_total{tier="l2"} 500
`, tt.want)
			if err := testutil.GatherAndCompare(reg, strings.NewReader(want),
				"cached_tier_lost_blocks_total", "cached_tier_rewritten_bytes_total", "cached_tier_sick",
				"cached_tier_write_errors_total", "cached_tier_written_bytes_total"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSeriesShowTheBooks(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	l := New(Options{})
	r := l.Requests(l.Reader(block.Origin, answer(b, block.Origin, nil)))
	read(call("secret-image", block.Prefetch), r, b.ID())
	read(call("secret-image", block.Prefetch), r, b.ID())
	damaged := l.Reader(block.Disk, answer(b, 0, block.ErrCorrupt))
	read(context.Background(), l.Requests(damaged), b.ID())
	l.OriginRequest("get", 1234)
	l.OriginRequest("put", 99)

	want := `
# HELP cached_block_read_bytes_total Bytes served to this node's users.
# TYPE cached_block_read_bytes_total counter
`
	for _, tier := range []string{"l1", "l2", "l3", "l4", "error"} {
		for _, cause := range block.Causes {
			n := 0
			if tier == "l4" && cause == block.Prefetch {
				n = 2000
			}
			want += fmt.Sprintf("cached_block_read_bytes_total{cause=%q,tier=%q} %d\n", cause, tier, n)
		}
	}
	want += `
# HELP cached_block_read_errors_total Failed reads of this node's users, by kind.
# TYPE cached_block_read_errors_total counter
cached_block_read_errors_total{kind="canceled"} 0
cached_block_read_errors_total{kind="corrupt"} 1
cached_block_read_errors_total{kind="not_found"} 0
cached_block_read_errors_total{kind="other"} 0
cached_block_read_errors_total{kind="overloaded"} 0
cached_block_read_errors_total{kind="unavailable"} 0
# HELP cached_integrity_failures_total Blocks that were not what their id says, by where they came from.
# TYPE cached_integrity_failures_total counter
cached_integrity_failures_total{source="l2"} 1
cached_integrity_failures_total{source="l3"} 0
cached_integrity_failures_total{source="l4"} 0
# HELP cached_origin_distinct_blocks Different blocks read from the object store.
# TYPE cached_origin_distinct_blocks gauge
cached_origin_distinct_blocks 1
# HELP cached_origin_read_bytes_total Bytes of content read from the object store.
# TYPE cached_origin_read_bytes_total counter
cached_origin_read_bytes_total 1234
# HELP cached_tier_declines_total Blocks offered to a tier that it did not keep.
# TYPE cached_tier_declines_total counter
cached_tier_declines_total{tier="l1"} 4
# HELP cached_tier_evictions_total Blocks a tier dropped to make room.
# TYPE cached_tier_evictions_total counter
cached_tier_evictions_total{tier="l1"} 3
# HELP cached_tier_used_bytes Bytes a tier occupies.
# TYPE cached_tier_used_bytes gauge
cached_tier_used_bytes{tier="l1"} 10
cached_tier_used_bytes{tier="l2"} 1
`
	reg := registry(t, l)
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want),
		"cached_block_read_bytes_total", "cached_block_read_errors_total", "cached_integrity_failures_total",
		"cached_origin_distinct_blocks", "cached_origin_read_bytes_total", "cached_tier_declines_total",
		"cached_tier_evictions_total", "cached_tier_used_bytes"); err != nil {
		t.Error(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		text := f.String()
		if strings.Contains(text, "secret-image") || strings.Contains(text, b.ID().Hex()) {
			t.Errorf("%s carries an image or an id", f.GetName())
		}
		if f.GetName() == "cached_block_read_duration_seconds" {
			for _, m := range f.GetMetric() {
				if h := m.GetHistogram(); m.GetLabel()[0].GetValue() == "l4" && h.GetSampleCount() != 2 {
					t.Errorf("%d durations of L4, want 2", h.GetSampleCount())
				}
			}
		}
	}
}
