package account

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// exposition returns every sample of a registry, by its name and labels; of histograms
// the count, the sum and the reads within each bound.
func exposition(t *testing.T, reg prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() { // sorted by name
				labels = append(labels, fmt.Sprintf("%s=%s", l.GetName(), l.GetValue()))
			}
			key := func(suffix string, more ...string) string {
				return strings.TrimPrefix(f.GetName(), "cached_") + suffix + "{" + strings.Join(append(slices.Clone(labels), more...), ",") + "}"
			}
			switch h := m.GetHistogram(); {
			case h != nil:
				all[key("_count")], all[key("_sum")] = float64(h.GetSampleCount()), h.GetSampleSum()
				for _, b := range h.GetBucket() {
					all[key("_bucket", fmt.Sprintf("le=%g", b.GetUpperBound()))] = float64(b.GetCumulativeCount())
				}
			case m.GetCounter() != nil:
				all[key("")] = m.GetCounter().GetValue()
			default:
				all[key("")] = m.GetGauge().GetValue()
			}
		}
	}
	return all
}

// step is one read: served by a tier, or failed, after some time.
type step struct {
	call block.Call
	tier block.Tier
	err  error
	took time.Duration
}

// A known sequence, and every number of the exposition: what is not in want is zero.
func TestEveryNumberOfTheExposition(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{Tenants: []string{"shop", "bank", "shop", OtherTenants}})
		for _, s := range []step{
			{block.Call{Via: block.ViaRaw, Image: "secret-image", Tenant: "shop"}, block.Memory, nil, 20 * time.Microsecond},
			{block.Call{Via: block.ViaRaw, Tenant: "shop"}, block.Memory, nil, 20 * time.Microsecond},
			{block.Call{Via: block.ViaGRPC, Tenant: "bank"}, block.Disk, nil, time.Millisecond},
			{block.Call{Via: block.ViaHTTP, Tenant: "secret-tenant"}, block.Peer, nil, 3 * time.Millisecond},
			{block.Call{Cause: block.Prefetch, Tenant: "shop"}, block.Origin, nil, 2 * time.Second},
			{block.Call{Cause: block.Repair}, block.Origin, nil, 20 * time.Second},
			{block.Call{Via: block.ViaConnect, Tenant: "shop"}, block.Disk, block.ErrCorrupt, 40 * time.Millisecond},
			{block.Call{Via: 200, Cause: 77}, block.Origin, block.ErrNotFound, 0},
		} {
			r := l.Requests(l.Reader(s.tier, block.ReaderFunc(func(ctx context.Context, id block.ID) (block.Block, error) {
				time.Sleep(s.took) //nolint:forbidigo // the time of the synctest bubble
				return answer(b, s.tier, s.err).ReadBlock(ctx, id)
			})))
			read(block.WithCall(t.Context(), s.call), r, b.ID())
		}
		disk := blocktest.NewFake(block.Disk)
		defer disk.Close()
		if err := l.Store(block.Disk, disk).WriteBlock(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		refuse := l.Admission(block.Disk, func(block.Block) bool { return false })
		refuse(b.WithFrom(block.Peer))
		refuse(b.WithFrom(block.Origin)) // offered elsewhere
		l.OriginRequest("get", 1234)
		l.OriginRequest("put", 99)
		l.OriginRequest("?", 1)
		l.Joined().Add(5)
		balance(t, l)

		reg := prometheus.NewPedanticRegistry()
		reg.MustRegister(l.Collector(Gauges{
			Tiers: map[block.Tier]Size{block.Memory: room{}, block.Disk: diskRoom{}}, Zone: smallZone{},
			Ahead: func() Ahead {
				return Ahead{Used: Count{21, 210}, Late: Count{22, 220}, Wasted: Count{23, 230}, Pending: Count{24, 240}, Missed: 25, Recorded: 26, Refused: 27, Lost: 28}
			},
			Pins: func() Pins { return Pins{Images: 31, Incomplete: 32, Kept: Count{33, 34}, Limit: 35} },
		}))
		got := exposition(t, reg)
		for name, value := range expected {
			if _, there := got[name]; !there {
				t.Errorf("%s is missing, want %g", name, value)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(got)) {
			if strings.Contains(name, "secret") || strings.Contains(name, b.ID().Hex()) {
				t.Errorf("%s carries an image, a tenant or an id", name)
			}
			want, known := expected[name]
			if !known && strings.Contains(name, "_bucket{") {
				want = within(name)
			}
			if math.Abs(got[name]-want) > 1e-9*math.Max(1, want) {
				t.Errorf("%s: %g, want %g", name, got[name], want)
			}
		}
		t.Logf("%d samples", len(got))
	})
}

// durations are those of the reads in each histogram, in seconds.
var durations = map[string][]float64{
	"block_read_duration_seconds_bucket{cause=demand,tier=l1,":    {20e-6, 20e-6},
	"block_read_duration_seconds_bucket{cause=demand,tier=l2,":    {1e-3},
	"block_read_duration_seconds_bucket{cause=demand,tier=l3,":    {3e-3},
	"block_read_duration_seconds_bucket{cause=prefetch,tier=l4,":  {2},
	"block_read_duration_seconds_bucket{cause=repair,tier=l4,":    {20},
	"block_read_duration_seconds_bucket{cause=demand,tier=error,": {40e-3, 0},
	"tier_read_duration_seconds_bucket{tier=l1,":                  {20e-6, 20e-6},
	"tier_read_duration_seconds_bucket{tier=l2,":                  {1e-3},
	"tier_read_duration_seconds_bucket{tier=l3,":                  {3e-3},
	"tier_read_duration_seconds_bucket{tier=l4,":                  {2, 20},
}

// within returns how many reads a bucket must have.
func within(name string) (n float64) {
	i := strings.Index(name, "le=")
	var le float64
	if _, err := fmt.Sscanf(name[i:], "le=%g}", &le); err != nil {
		return math.NaN()
	}
	for _, d := range durations[name[:i]] {
		if d <= le {
			n++
		}
	}
	return n
}

var expected = map[string]float64{
	"block_reads_total{cause=demand,interface=raw,tier=l1}":         2,
	"block_read_bytes_total{cause=demand,interface=raw,tier=l1}":    2000,
	"block_reads_total{cause=demand,interface=grpc,tier=l2}":        1,
	"block_read_bytes_total{cause=demand,interface=grpc,tier=l2}":   1000,
	"block_reads_total{cause=demand,interface=http,tier=l3}":        1,
	"block_read_bytes_total{cause=demand,interface=http,tier=l3}":   1000,
	"block_reads_total{cause=prefetch,interface=node,tier=l4}":      1,
	"block_read_bytes_total{cause=prefetch,interface=node,tier=l4}": 1000,
	"block_reads_total{cause=repair,interface=node,tier=l4}":        1,
	"block_read_bytes_total{cause=repair,interface=node,tier=l4}":   1000,
	"block_reads_total{cause=demand,interface=connect,tier=error}":  1,
	"block_reads_total{cause=demand,interface=node,tier=error}":     1,
	"block_read_errors_total{cause=demand,kind=corrupt}":            1,
	"block_read_errors_total{cause=demand,kind=not_found}":          1,
	"block_read_duration_seconds_count{cause=demand,tier=l1}":       2,
	"block_read_duration_seconds_sum{cause=demand,tier=l1}":         40e-6,
	"block_read_duration_seconds_count{cause=demand,tier=l2}":       1,
	"block_read_duration_seconds_sum{cause=demand,tier=l2}":         1e-3,
	"block_read_duration_seconds_count{cause=demand,tier=l3}":       1,
	"block_read_duration_seconds_sum{cause=demand,tier=l3}":         3e-3,
	"block_read_duration_seconds_count{cause=prefetch,tier=l4}":     1,
	"block_read_duration_seconds_sum{cause=prefetch,tier=l4}":       2,
	"block_read_duration_seconds_count{cause=repair,tier=l4}":       1,
	"block_read_duration_seconds_sum{cause=repair,tier=l4}":         20,
	"block_read_duration_seconds_count{cause=demand,tier=error}":    2,
	"block_read_duration_seconds_sum{cause=demand,tier=error}":      40e-3,
	"tenant_block_reads_total{tenant=shop,tier=l1}":                 2,
	"tenant_block_read_bytes_total{tenant=shop,tier=l1}":            2000,
	"tenant_block_reads_total{tenant=shop,tier=l4}":                 1,
	"tenant_block_read_bytes_total{tenant=shop,tier=l4}":            1000,
	"tenant_block_reads_total{tenant=shop,tier=error}":              1,
	"tenant_block_reads_total{tenant=bank,tier=l2}":                 1,
	"tenant_block_read_bytes_total{tenant=bank,tier=l2}":            1000,
	"tenant_block_reads_total{tenant=other,tier=l3}":                1,
	"tenant_block_read_bytes_total{tenant=other,tier=l3}":           1000,
	"tenant_block_reads_total{tenant=other,tier=l4}":                1,
	"tenant_block_read_bytes_total{tenant=other,tier=l4}":           1000,
	"tenant_block_reads_total{tenant=other,tier=error}":             1,
	"tier_reads_total{outcome=hit,tier=l1}":                         2,
	"tier_read_bytes_total{tier=l1}":                                2000,
	"tier_read_duration_seconds_count{tier=l1}":                     2,
	"tier_read_duration_seconds_sum{tier=l1}":                       40e-6,
	"tier_reads_total{outcome=hit,tier=l2}":                         1,
	"tier_reads_total{outcome=corrupt,tier=l2}":                     1,
	"tier_read_bytes_total{tier=l2}":                                1000,
	"tier_read_duration_seconds_count{tier=l2}":                     1,
	"tier_read_duration_seconds_sum{tier=l2}":                       1e-3,
	"tier_reads_total{outcome=hit,tier=l3}":                         1,
	"tier_read_bytes_total{tier=l3}":                                1000,
	"tier_read_duration_seconds_count{tier=l3}":                     1,
	"tier_read_duration_seconds_sum{tier=l3}":                       3e-3,
	"tier_reads_total{outcome=hit,tier=l4}":                         2,
	"tier_reads_total{outcome=not_found,tier=l4}":                   1,
	"tier_read_bytes_total{tier=l4}":                                2000,
	"tier_read_duration_seconds_count{tier=l4}":                     2,
	"tier_read_duration_seconds_sum{tier=l4}":                       22,
	"tier_offers_total{tier=l2}":                                    1,
	"integrity_failures_total{source=l2}":                           1,
	"integrity_failures_total{source=l3}":                           2,
	"origin_distinct_blocks{}":                                      1,
	"origin_owned_blocks{}":                                         1,
	"origin_refetched_bytes_total{}":                                1000,
	"origin_read_bytes_total{}":                                     1234,
	"origin_requests_total{op=get}":                                 1,
	"origin_requests_total{op=put}":                                 1,
	"origin_requests_total{op=other}":                               1,
	"shared_reads_total{}":                                          5,
	"tier_used_bytes{tier=l1}":                                      10,
	"tier_capacity_bytes{tier=l1}":                                  20,
	"tier_evictions_total{tier=l1}":                                 3,
	"tier_declines_total{reason=busy,tier=l1}":                      4,
	"tier_oldest_entry_age_seconds{tier=l1}":                        3600,
	"tier_used_bytes{tier=l2}":                                      1,
	"tier_capacity_bytes{tier=l2}":                                  2,
	"tier_declines_total{reason=sick,tier=l2}":                      6,
	"tier_declines_total{reason=not_admitted,tier=l2}":              1,
	"tier_written_bytes_total{tier=l2}":                             500,
	"tier_rewritten_bytes_total{tier=l2}":                           60,
	"tier_write_errors_total{tier=l2}":                              7,
	"tier_lost_blocks_total{tier=l2}":                               8,
	"ring_members{}":                                                3,
	"ring_owned_share{}":                                            0.34,
	"ring_epoch{}":                                                  float64(uint64(0xfedcba9876543)),
	"peer_breakers{state=closed}":                                   5,
	"peer_breakers{state=half_open}":                                1,
	"peer_breakers{state=open}":                                     2,
	"residency_nodes{}":                                             2,
	"residency_entries{}":                                           17,
	"peer_blocks_total{direction=received}":                         7,
	"peer_requests_total{direction=sent,result=redirected}":         9,
	"peer_failures_total{kind=wrong}":                               2,
	"peer_orphans_total{}":                                          4,
	"gossip_events_total{event=foreign_zone}":                       5,
	"residency_messages_total{event=refused}":                       6,
	"residency_bytes_total{}":                                       8,
	"prefetch_blocks_total{result=used}":                            21,
	"prefetch_blocks_total{result=late}":                            22,
	"prefetch_blocks_total{result=wasted}":                          23,
	"prefetch_bytes_total{result=used}":                             210,
	"prefetch_bytes_total{result=late}":                             220,
	"prefetch_bytes_total{result=wasted}":                           230,
	"prefetch_pending_blocks{}":                                     24,
	"prefetch_pending_bytes{}":                                      240,
	"prefetch_missed_blocks_total{}":                                25,
	"prefetch_starts_total{result=recorded}":                        26,
	"prefetch_starts_total{result=refused}":                         27,
	"prefetch_starts_total{result=lost}":                            28,
	"pinned_images{}":                                               31,
	"pinned_incomplete_images{}":                                    32,
	"pinned_bytes{}":                                                34,
	"pinned_limit_bytes{}":                                          35,
}
