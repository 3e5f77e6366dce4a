package zone_test

import (
	"math"
	"testing"
	"time"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/loadtest/zone"
)

// hitsSince returns which share of the reads since an earlier look at the books
// the nodes' own tiers and their peers served, and which share their own alone.
func hitsSince(now, earlier zone.Books) (inZone, own float64) {
	var all int64
	served := map[cachedv1.Tier]int64{}
	for tier, n := range now.Served {
		served[tier] = n - earlier.Served[tier]
		all += served[tier]
	}
	local := served[cachedv1.Tier_TIER_MEMORY] + served[cachedv1.Tier_TIER_DISK]
	return float64(local+served[cachedv1.Tier_TIER_PEER]) / float64(all), float64(local) / float64(all)
}

// TestProveZoneRollingRestart restarts every daemon in turn while all hosts read,
// the ones whose daemon is away asking again until it is back.
func TestProveZoneRollingRestart(t *testing.T) {
	alone(t)
	measureRollingRestart(t, own())
}

func measureRollingRestart(t *testing.T, f *fields) {
	o := options(t, zone.Redirect)
	load := 300 * time.Millisecond
	if figure.Full() {
		o.Image /= 2
		load = 10 * time.Second
	}
	z := f.start(t, o)
	whole(t, z.Image, z.burst(t))
	agents := z.agents(t, z.Nodes, "-loop", "-parallel", "4", "-pause", "100ms", "-patience", "30s")
	zone.Go(t, agents)
	under := func() (inZone, own float64) {
		books := zone.SumBooks(t, z.Nodes)
		<-time.After(load) // a load has no other end
		return hitsSince(zone.SumBooks(t, z.Nodes), books)
	}
	inZone, own := under()
	mark := z.Store.Mark(t)
	disk := math.Inf(1)
	for _, n := range z.Nodes {
		n.Stop()
		n.Start(t)
		z.Await(t, z.Nodes)
		disk = min(disk, fromDisk(t, z, n))
	}
	inZoneAfter, ownAfter := under()
	for _, a := range agents {
		a.End()
	}
	sum := tally(zone.Reports(t, agents))
	reads := z.Store.Reads(t, mark)
	t.Logf("%d reads; the reads of hosts whose daemon was away were refused %d times", sum.Blocks, sum.Refused)
	figure.Report(t, "zone.rolling_restart.failed_reads", float64(sum.Failed), "reads")
	figure.Report(t, "zone.rolling_restart.wrong_blocks", float64(sum.Wrong), "blocks")
	figure.Report(t, "zone.rolling_restart.origin_reads", float64(reads.Total), "reads")
	t.Logf("served in the zone: %.4f before, %.4f after; by the host itself: %.4f before, %.4f after", inZone, inZoneAfter, own, ownAfter)
	figure.Report(t, "zone.rolling_restart.hit_rate_kept", inZoneAfter/inZone, "x")
	figure.Report(t, "zone.rolling_restart.own_hit_rate_kept", ownAfter/own, "x")
	figure.Report(t, "zone.rolling_restart.from_disk_of_owned", disk, "x")
	checkReads(t, sum, reads, len(z.Nodes))
	if inZoneAfter < 0.9*inZone {
		t.Errorf("the zone served %.3f of the reads, and %.3f before", inZoneAfter, inZone)
	}
}

// fromDisk reads the image on a node that has restarted, whose memory was empty
// then: it must have served blocks from its disk. It returns how many, of those of
// the image that it owns.
func fromDisk(t *testing.T, z *field, n *zone.Node) float64 {
	t.Helper()
	agents := z.agents(t, []*zone.Node{n})
	zone.Go(t, agents)
	r := agents[0].Report(t)
	blocks := uint64(0)
	for _, s := range n.Ledger(t).GetServed() {
		if s.GetTier() == cachedv1.Tier_TIER_DISK {
			blocks += s.GetCount().GetBlocks()
		}
	}
	t.Logf("%s after its restart: %d blocks from its disk; a reader of the image got %v", n.Name, blocks, r.From)
	if blocks == 0 || r.Failed > 0 || r.Blocks != z.Image.Blocks {
		t.Errorf("%s has just restarted: %d blocks came from its disk, %d of %d were read, %d failed: %v", n.Name, blocks, r.Blocks, z.Image.Blocks, r.Failed, r.Errors)
	}
	return float64(blocks) / (n.Share(t) * float64(z.Image.Blocks))
}
