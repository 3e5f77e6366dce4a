package zone_test

import (
	"slices"
	"testing"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/rate"
	"github.com/zonecache/cached/loadtest/zone"
	"github.com/zonecache/cached/loadtest/zone/report"
)

// TestProveZoneSlowLink compares how long the hosts need for the image beside
// one whose link is four times slower with how long they need beside one like
// themselves.
func TestProveZoneSlowLink(t *testing.T) {
	alone(t)
	measureSlowLink(t, own())
}

func measureSlowLink(t *testing.T, f *fields) {
	most := 0.0
	others := func(odd bool) (slowest, oddOne float64) {
		z := f.start(t, options(t, zone.Redirect))
		n := len(z.Nodes) - 1
		if odd {
			z.Nodes[n].Host.SetLink(slow)
			defer z.Nodes[n].Host.SetLink(fast)
		}
		reports := z.burst(t)
		whole(t, z.Image, reports)
		reads := z.reads(t)
		checkReads(t, tally(reports), reads, 1)
		most = max(most, float64(reads.Total)/float64(z.Image.Blocks))
		return last(reports[:n]), last([]report.Report{reports[n]})
	}
	rounds := 1
	if figure.Full() {
		rounds = 3
	}
	var ratios []float64
	for range rounds {
		without, _ := others(false)
		with, odd := others(true)
		t.Logf("the others need %.2f s beside a slow host, which needs %.2f s, and %.2f s beside a fast one", with, odd, without)
		ratios = append(ratios, with/without)
	}
	figure.Report(t, "zone.slow_link.others_x", rate.Median(ratios), "x")
	figure.Report(t, "zone.slow_link.worst_others_x", slices.Max(ratios), "x")
	figure.Report(t, "zone.slow_link.origin_reads_per_block", most, "reads")
}
