package zone_test

import (
	"testing"
	"time"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/loadtest/zone"
)

// hits returns which share of the reads the nodes' own tiers and their peers
// served, and which share their own tiers alone.
func hits(t *testing.T, nodes []*zone.Node) (inZone, own float64) {
	t.Helper()
	b := zone.SumBooks(t, nodes)
	var all int64
	for _, n := range b.Served {
		all += n
	}
	local := b.Served[cachedv1.Tier_TIER_MEMORY] + b.Served[cachedv1.Tier_TIER_DISK]
	return float64(local+b.Served[cachedv1.Tier_TIER_PEER]) / float64(all), float64(local) / float64(all)
}

// TestProveZoneRollingRestart restarts every daemon in turn while all hosts read,
// the ones whose daemon is away asking again until it is back.
func TestProveZoneRollingRestart(t *testing.T) {
	o := options(t, zone.Redirect)
	load := 300 * time.Millisecond
	o.Image /= 2
	if figure.Full() {
		load = 10 * time.Second
	}
	z := zone.Start(t, o)
	whole(t, z.Image, z.Burst(t))
	agents := zone.Agents(t, z.Nodes, "-loop", "-parallel", "4", "-pause", "100ms", "-patience", "30s")
	zone.Go(t, agents)
	<-time.After(load) // a load has no other end
	inZone, own := hits(t, z.Nodes)
	mark := z.Store.Mark(t)
	for _, n := range z.Nodes {
		n.Stop()
		n.Start(t)
		z.Await(t, z.Nodes)
	}
	<-time.After(load)
	inZoneAfter, ownAfter := hits(t, z.Nodes)
	for _, a := range agents {
		a.End()
	}
	sum := tally(zone.Reports(t, agents))
	reads := z.Store.Reads(t, mark)
	t.Logf("%d reads; the reads of hosts whose daemon was away were refused %d times", sum.Blocks, sum.Refused)
	figure.Report(t, "zone.rolling_restart.failed_reads", float64(sum.Failed), "reads")
	figure.Report(t, "zone.rolling_restart.wrong_blocks", float64(sum.Wrong), "blocks")
	figure.Report(t, "zone.rolling_restart.origin_reads", float64(reads.Total), "reads")
	figure.Report(t, "zone.rolling_restart.hit_rate_before", inZone, "")
	figure.Report(t, "zone.rolling_restart.hit_rate_after", inZoneAfter, "")
	figure.Report(t, "zone.rolling_restart.own_hit_rate_before", own, "")
	figure.Report(t, "zone.rolling_restart.own_hit_rate_after", ownAfter, "")
}
