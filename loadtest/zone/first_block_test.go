package zone_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/rate"
	"github.com/zonecache/cached/loadtest/zone"
)

// TestProveZoneFirstBlock lets all hosts ask for one cold block at the same
// moment, block after block. What a single host needs for a cold block in a zone
// without peers is the origin's own delay and one transfer; what is beyond the
// delay is counted in transfers.
func TestProveZoneFirstBlock(t *testing.T) {
	alone(t)
	measureFirstBlock(t, own())
}

func measureFirstBlock(t *testing.T, f *fields) {
	firstBlock(t, f, options(t, zone.Redirect), "zone.first_block16")
}

// TestProveZoneFirstBlockSlowLinks is the same over links on which a transfer takes
// long beside what 32 programs on a small machine take to get their turn.
func TestProveZoneFirstBlockSlowLinks(t *testing.T) {
	alone(t)
	o := options(t, zone.Redirect)
	o.Link, o.OriginLink = calm, calm
	firstBlock(t, own(), o, "zone.first_block16_slow")
}

func firstBlock(t *testing.T, f *fields, o zone.Options, name string) {
	t.Helper()
	rounds := 3
	if figure.Full() {
		o.Image = 4 << 20
		rounds = 15
	}
	cold := func(z *field, nodes []*zone.Node, round int) (seconds, transfer float64) {
		agents := z.agents(t, nodes, "-blocks", "1", "-skip", fmt.Sprint(round))
		zone.Go(t, agents)
		reports := zone.Reports(t, agents)
		for i, r := range reports {
			if r.Failed > 0 || r.Blocks != 1 {
				t.Fatalf("agent %d: %d blocks: %v", i, r.Blocks, r.Errors)
			}
		}
		return last(reports), o.Link.Rate.Transfer(reports[0].Bytes).Seconds()
	}
	var delays []float64
	single := o
	single.Nodes, single.Spread = 1, zone.Alone
	z := f.start(t, single)
	for round := range rounds {
		seconds, transfer := cold(z, z.Nodes[:1], round)
		delays = append(delays, max(seconds-transfer, 0))
	}
	delay := rate.Median(delays)
	var ratios []float64
	z = f.start(t, o)
	for round := range rounds {
		seconds, transfer := cold(z, z.Nodes, round)
		ratios = append(ratios, (seconds-delay)/transfer)
		t.Logf("block %d: %.1f ms, one transfer takes %.1f ms, the origin's delay is %.1f ms: %.2f transfers", round, seconds*1e3, transfer*1e3, delay*1e3, ratios[round])
	}
	reads := z.reads(t)
	figure.Report(t, name+".transfers", rate.Median(ratios), "x")
	figure.Report(t, name+".worst_transfers", slices.Max(ratios), "x")
	figure.Report(t, name+".origin_reads_per_block", float64(reads.Total)/float64(rounds), "reads")
	if !figure.Full() && (reads.Total != rounds || reads.Most() != 1) {
		t.Errorf("%d origin reads of %d blocks, at most %d of one", reads.Total, rounds, reads.Most())
	}
}
