package account

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/zonecache/cached/block"
)

type room struct{}

func (room) Used() int64      { return 10 }
func (room) Capacity() int64  { return 20 }
func (room) Evictions() int64 { return 3 }
func (room) Oldest() time.Time {
	return time.Now().Add(-time.Hour)
}
func (room) Declined() map[string]int64 { return map[string]int64{"busy": 4, "too_large": 0} }

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
func (diskRoom) Declined() map[string]int64 {
	return map[string]int64{"sick": 6}
}

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
		"cached_block_reads_total":                 5 * 3 * 6,
		"cached_block_read_bytes_total":            5 * 3 * 6,
		"cached_tenant_block_reads_total":          5,
		"cached_tenant_block_read_bytes_total":     5,
		"cached_block_read_duration_seconds":       5 * 3,
		"cached_block_read_errors_total":           6 * 3,
		"cached_block_reads_prefetched_total":      1,
		"cached_block_read_bytes_prefetched_total": 1,
		"cached_requests_in_flight":                1,
		"cached_tier_reads_total":                  4 * 7,
		"cached_tier_read_bytes_total":             4,
		"cached_tier_read_duration_seconds":        4,
		"cached_tier_offers_total":                 4,
		"cached_integrity_failures_total":          3,
		"cached_tier_used_bytes":                   2,
		"cached_tier_capacity_bytes":               2,
		"cached_tier_evictions_total":              1,
		"cached_tier_declines_total":               2 + 2,
		"cached_tier_oldest_entry_age_seconds":     1,
		"cached_tier_written_bytes_total":          1,
		"cached_tier_rewritten_bytes_total":        1,
		"cached_tier_write_errors_total":           1,
		"cached_tier_lost_blocks_total":            1,
		"cached_tier_sick":                         1,
		"cached_origin_requests_total":             6,
		"cached_origin_read_bytes_total":           1,
		"cached_origin_distinct_blocks":            1,
		"cached_origin_owned_blocks":               1,
		"cached_origin_distinct_saturated":         1,
		"cached_origin_refetched_bytes_total":      1,
		"cached_shared_reads_total":                1,
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
