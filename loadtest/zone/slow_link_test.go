package zone_test

import (
	"runtime"
	"slices"
	"testing"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/netlab"
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
	slowLink(t, f, options(t, zone.Redirect), "zone.slow_link")
}

// TestProveZoneSlowLinkCalm is the same over links at which a small machine's
// processors are idle half of the time: what it takes longer is the protocol's.
func TestProveZoneSlowLinkCalm(t *testing.T) {
	alone(t)
	o := options(t, zone.Redirect)
	o.Link, o.OriginLink = netlab.Link{Rate: 25 * netlab.Mbit}, netlab.Link{Rate: 25 * netlab.Mbit}
	o.Image /= 4
	slowLink(t, own(), o, "zone.slow_link_calm")
}

func slowLink(t *testing.T, f *fields, o zone.Options, name string) {
	most, busy := 0.0, 0.0
	slow := o.Link
	slow.Rate /= 4
	others := func(odd bool) (slowest, oddOne float64) {
		z := f.start(t, o)
		n := len(z.Nodes) - 1
		if odd {
			z.Nodes[n].Host.SetLink(slow)
			defer z.Nodes[n].Host.SetLink(o.Link)
		}
		daemonsBefore, storeBefore := z.CPU(t)
		reports := z.burst(t)
		daemons, store := z.CPU(t)
		all := (daemons + store - daemonsBefore - storeBefore).Seconds() + tally(reports).CPU
		busy = max(busy, all/(float64(runtime.NumCPU())*last(reports)))
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
	figure.Report(t, name+".others_x", rate.Median(ratios), "x")
	figure.Report(t, name+".worst_others_x", slices.Max(ratios), "x")
	figure.Report(t, name+".origin_reads_per_block", most, "reads")
	figure.Report(t, name+".cpu_share", busy, "x")
}
