package zone_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/netlab"
	"github.com/zonecache/cached/loadtest/zone"
)

// TestProveZonePartition cuts the zone in two halves in the middle of a burst;
// both reach the origin. Once healed, it is one zone again, and what either half
// has read the other one need not read.
func TestProveZonePartition(t *testing.T) {
	alone(t)
	measurePartition(t, own())
}

func measurePartition(t *testing.T, f *fields) {
	o := options(t, zone.Redirect)
	z := f.start(t, o)
	half := len(z.Nodes) / 2
	hosts := func(nodes []*zone.Node) (h []*netlab.Host) {
		for _, n := range nodes {
			h = append(h, n.Host)
		}
		return h
	}
	before := z.Nodes[0].Host.Traffic(t)
	agents := z.agents(t, z.Nodes)
	zone.Go(t, agents)
	awaitShare(t, z.Nodes[0], z.Image, before, 0.2)
	z.Lab.Partition(hosts(z.Nodes[:half]), hosts(z.Nodes[half:]))
	reports := zone.Reports(t, agents)
	whole(t, z.Image, reports)
	// By now both halves know that they are alone.
	z.Await(t, z.Nodes[:half])
	z.Await(t, z.Nodes[half:])
	reads, sum, books := z.reads(t), tally(reports), z.sums(t)
	// A read that its reader gives up, because a peer has the block after all, is in
	// the origin's log and in no ledger.
	gaveUp := float64(int64(reads.Total)-books.OriginBlocks) / float64(reads.Total)
	checkLedgers(t, books, reads, max(int64(reads.Total)/10, 2))
	checkReads(t, sum, reads, len(z.Nodes))
	figure.Report(t, "zone.partition.failed_reads", float64(sum.Failed), "reads")
	figure.Report(t, "zone.partition.wrong_blocks", float64(sum.Wrong), "blocks")
	figure.Report(t, "zone.partition.most_origin_reads_of_a_block", float64(reads.Most()), "reads")
	figure.Report(t, "zone.partition.read_more_than_twice", float64(countAbove(reads.Blocks, 2))/float64(z.Image.Blocks), "x")
	figure.Report(t, "zone.partition.origin_reads_per_block", float64(reads.Total)/float64(z.Image.Blocks), "reads")
	figure.Report(t, "zone.partition.ledger_origin_reads_per_block", float64(books.OriginBlocks)/float64(z.Image.Blocks), "reads")
	figure.Report(t, "zone.partition.given_up_share", gaveUp, "x")
	figure.Report(t, "zone.partition.slowest_read_s", sum.Slowest, "s")

	z.Lab.Heal()
	z.Await(t, z.Nodes)
	start := time.Now()
	healed := 0.0
	for n := 2; n < 20; n++ {
		if healed = readNext(t, z, n, max(o.Image/4, 1<<20)); healed == 1 || figure.Full() {
			break // at full size the first one counts
		}
	}
	t.Logf("%.1f s after all see each other: %.2f origin reads per block", time.Since(start).Seconds(), healed)
	figure.Report(t, "zone.partition.healed_origin_reads_per_block", healed, "reads")
	if healed != 1 && !figure.Full() {
		t.Errorf("%s after all see each other again a new image is read %.2f times from the origin", time.Since(start), healed)
	}
}

// readNext lets all nodes read a new image, and returns how often each block of it
// was read from the origin.
func readNext(t *testing.T, z *field, n int, size int64) float64 {
	t.Helper()
	name := fmt.Sprintf("after-%d", n)
	mark := z.Store.Mark(t)
	img := z.publish(t, name, size, uint64(n)<<20)
	agents := zone.Agents(t, z.Nodes, "-image", name)
	zone.Go(t, agents)
	whole(t, img, zone.Reports(t, agents))
	reads := z.Store.Reads(t, mark)
	return float64(reads.Total) / float64(img.Blocks)
}
