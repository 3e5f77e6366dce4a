package zone_test

import (
	"math"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/loadtest/zone"
	"github.com/zonecache/cached/loadtest/zone/report"
)

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
	rest := func() { <-time.After(load) } // a load has no other end
	before := hitsUnder(t, z, rest)
	var r restarts
	amid := hitsUnder(t, z, func() { r = restartAll(t, z) })
	after := hitsUnder(t, z, rest)

	sum := tally([]report.Report{before.Report, amid.Report, after.Report, r.Report})
	t.Logf("%d reads, %d of them while daemons were restarted; those of hosts whose daemon was away were refused %d times", sum.Blocks, amid.Blocks, sum.Refused)
	t.Logf("served in the zone: %.4f before, %.4f meanwhile, %.4f after; by the host itself: %.4f, %.4f, %.4f",
		before.inZone(), amid.inZone(), after.inZone(), before.own(), amid.own(), after.own())
	t.Logf("the origin was read %d times meanwhile, %d of %d blocks", amid.origin.Total, len(amid.origin.Blocks), z.Image.Blocks)
	figure.Report(t, "zone.rolling_restart.failed_reads", float64(sum.Failed), "reads")
	figure.Report(t, "zone.rolling_restart.wrong_blocks", float64(sum.Wrong), "blocks")
	figure.Report(t, "zone.rolling_restart.without_origin", amid.inZone(), "x")
	figure.Report(t, "zone.rolling_restart.origin_reads_per_block", float64(amid.origin.Total)/float64(z.Image.Blocks), "reads")
	figure.Report(t, "zone.rolling_restart.hit_rate_kept", after.inZone()/before.inZone(), "x")
	figure.Report(t, "zone.rolling_restart.own_hit_rate_kept", after.own()/before.own(), "x")
	figure.Report(t, "zone.rolling_restart.l2_kept", r.kept, "x")
	figure.Report(t, "zone.rolling_restart.blocks_from_disk", float64(r.fromDisk), "blocks")
	checkReads(t, sum, amid.origin, len(z.Nodes))
	if figure.Full() {
		return // that is for the goals to say
	}
	if r.kept < 0.99 {
		t.Errorf("a restarted host has %.3f of what its disk held", r.kept)
	}
	for when, h := range map[string]hits{"meanwhile": amid, "afterwards": after} {
		if h.inZone() < 0.95*before.inZone() {
			t.Errorf("the zone served %.3f of the reads before, and %.3f %s", before.inZone(), h.inZone(), when)
		}
	}
}

// hits are the reads of some time by all hosts, and what of it the origin saw.
type hits struct {
	report.Report
	origin zone.OriginReads
}

// hitsUnder lets all hosts read at random while f runs.
func hitsUnder(t *testing.T, z *field, f func()) hits {
	t.Helper()
	mark := z.Store.Mark(t)
	agents := z.agents(t, z.Nodes, "-loop", "-parallel", "4", "-pause", "100ms", "-patience", "30s")
	zone.Go(t, agents)
	f()
	for _, a := range agents {
		a.End()
	}
	return hits{tally(zone.Reports(t, agents)), z.Store.Reads(t, mark)}
}

// inZone is the share that was served without the origin. Of a block that a
// node's owner has to read there the node only knows that it came from a peer: the
// origin's own log counts, too.
func (h hits) inZone() float64 {
	return 1 - float64(max(int64(h.origin.Total), h.From[block.Origin]))/float64(h.Blocks)
}

// own is the share that the hosts' own tiers served.
func (h hits) own() float64 {
	return float64(h.From[block.Memory]+h.From[block.Disk]) / float64(h.Blocks)
}

// restarts is what restarting all hosts in turn came to.
type restarts struct {
	report.Report         // of the readers on hosts that were just back
	kept          float64 // of the bytes on the disk before, the worst host
	fromDisk      int64   // blocks those readers got from it, the worst host
}

// restartAll restarts all hosts in turn and reads the image on each as soon as it
// is back: its memory was empty then.
func restartAll(t *testing.T, z *field) restarts {
	t.Helper()
	worst := restarts{kept: math.Inf(1), fromDisk: math.MaxInt64}
	var reports []report.Report
	for _, n := range z.Nodes {
		held := n.Held(t)
		n.Stop()
		n.Start(t)
		kept := n.Held(t)
		z.Await(t, z.Nodes)
		agents := z.agents(t, []*zone.Node{n})
		zone.Go(t, agents)
		r := agents[0].Report(t)
		whole(t, z.Image, []report.Report{r})
		fromDisk := r.From[block.Disk]
		t.Logf("%s: %d bytes on its disk before its restart, %d after; a reader of the image got %v", n.Name, held, kept, r.From)
		worst.kept = min(worst.kept, float64(kept)/float64(held))
		worst.fromDisk = min(worst.fromDisk, fromDisk)
		reports = append(reports, r)
	}
	worst.Report = tally(reports)
	return worst
}
