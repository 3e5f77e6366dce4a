package zone_test

import (
	"testing"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/netlab"
	"github.com/zonecache/cached/loadtest/zone"
)

// TestProveZonePartition cuts the zone in two halves in the middle of a burst;
// both reach the origin. Once healed, it is one zone again, and what either half
// has read the other one need not read.
func TestProveZonePartition(t *testing.T) {
	o := options(t, zone.Redirect)
	z := zone.Start(t, o)
	half := len(z.Nodes) / 2
	hosts := func(nodes []*zone.Node) (h []*netlab.Host) {
		for _, n := range nodes {
			h = append(h, n.Host)
		}
		return h
	}
	before := z.Nodes[0].Host.Traffic(t)
	agents := zone.Agents(t, z.Nodes)
	zone.Go(t, agents)
	awaitShare(t, z.Nodes[0], z.Image, before, 0.2)
	z.Lab.Partition(hosts(z.Nodes[:half]), hosts(z.Nodes[half:]))
	reports := zone.Reports(t, agents)
	whole(t, z.Image, reports)
	// By now both halves know that they are alone.
	z.Await(t, z.Nodes[:half])
	z.Await(t, z.Nodes[half:])
	reads, books := z.Store.Reads(t, 0), zone.SumBooks(t, z.Nodes)
	checkLedgers(t, books, reads)
	sum := tally(reports)
	figure.Report(t, "zone.partition.failed_reads", float64(sum.Failed), "reads")
	figure.Report(t, "zone.partition.wrong_blocks", float64(sum.Wrong), "blocks")
	figure.Report(t, "zone.partition.most_origin_reads_of_a_block", float64(reads.Most()), "reads")
	figure.Report(t, "zone.partition.origin_reads_per_block", float64(reads.Total)/float64(z.Image.Blocks), "reads")

	z.Lab.Heal()
	z.Await(t, z.Nodes)
	mark := z.Store.Mark(t)
	second := z.Store.Publish(t, o.Programs, zone.Content{Name: "second", Size: o.Image / 4, Seed: 2})
	agents = zone.Agents(t, z.Nodes, "-image", "second")
	zone.Go(t, agents)
	whole(t, second, zone.Reports(t, agents))
	healed := z.Store.Reads(t, mark)
	figure.Report(t, "zone.partition.healed_origin_reads_per_block", float64(healed.Total)/float64(second.Blocks), "reads")
}
