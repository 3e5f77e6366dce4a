package zone_test

import (
	"testing"
	"time"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/netlab"
	"github.com/zonecache/cached/loadtest/zone"
	"github.com/zonecache/cached/loadtest/zone/report"
)

// awaitShare waits until a node has received that share of the image.
func awaitShare(t *testing.T, n *zone.Node, img zone.Image, start netlab.Traffic, share float64) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; {
		if got := n.Host.Traffic(t).Since(start).Received; float64(got) >= share*float64(img.Bytes) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s never received %.2f of the image", n.Name, share)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// TestProveZoneOwnerKilled kills the daemon of one host with -9 in the middle of
// a burst. What the dead one owned and nobody else had yet is read from the
// origin by its successors.
func TestProveZoneOwnerKilled(t *testing.T) {
	alone(t)
	measureOwnerKilled(t, own())
}

func measureOwnerKilled(t *testing.T, f *fields) {
	o := options(t, zone.Redirect)
	z := f.start(t, o)
	victim := z.Nodes[len(z.Nodes)/2]
	before := victim.Host.Traffic(t)
	agents := z.agents(t, z.Nodes)
	zone.Go(t, agents)
	awaitShare(t, victim, z.Image, before, 0.4)
	victim.Kill()
	var reports []report.Report
	for _, a := range agents {
		if a.Node == victim {
			a.Kill()
			continue
		}
		reports = append(reports, a.Report(t))
	}
	whole(t, z.Image, reports)
	var living []*zone.Node
	for _, n := range z.Nodes {
		if n != victim {
			living = append(living, n)
		}
	}
	zone.SumBooks(t, living) // the books balance
	reads, sum := z.reads(t), tally(reports)
	figure.Report(t, "zone.owner_killed.failed_reads", float64(sum.Failed), "reads")
	figure.Report(t, "zone.owner_killed.wrong_blocks", float64(sum.Wrong), "blocks")
	perBlock := float64(reads.Total) / float64(z.Image.Blocks)
	share := 1 / float64(len(z.Nodes))
	figure.Report(t, "zone.owner_killed.origin_reads_per_block", perBlock, "reads")
	figure.Report(t, "zone.owner_killed.over_share", perBlock-share, "reads")
	figure.Report(t, "zone.owner_killed.vs_bound", last(reports)/bound(len(z.Nodes), z.Image, o.Link.Rate).Seconds(), "x")
	checkReads(t, sum, reads, 2)
	victim.Start(t) // for who comes next
	t.Logf("killed at 0.4 of the image: %d of %d blocks were read twice or more, most %d times", countAbove(reads.Blocks, 1), z.Image.Blocks, reads.Most())
}

// countAbove counts the blocks read more than n times.
func countAbove(blocks map[string]int, n int) int {
	count := 0
	for _, reads := range blocks {
		if reads > n {
			count++
		}
	}
	return count
}
