package zonetest_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/zonetest"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/tiers/peer"
)

// Until the membership has noticed a partition, all nodes of a half choose the
// same one to stand in for an owner they do not reach, so that the origin, whose
// link is as slow as one host's, is read once by each half: but for a few blocks.
func TestAPartitionNobodyHasNoticed(t *testing.T) {
	// Not fewer under instruments: of 42 blocks hardly any is there before the
	// partition, and one read too many is more than the bound of all.
	blocks := 128
	if figure.Full() {
		blocks = 1024
	}
	for _, tt := range []struct {
		name          string
		nodes, blocks int
		wide          bool // a window that hides what few blocks the product's shows
	}{
		{"8 nodes", 8, blocks, false},
		{"16 nodes", 16, blocks, false},
		{"8 nodes, wide", 8, blocks, true},
		{"16 nodes, wide", 16, blocks, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const rate = 12.5e6
				o := zonetest.Options{
					Nodes: tt.nodes, Blocks: tt.blocks, BlockSize: 256 << 10, OriginRate: rate,
					Link:   zonetest.Link{Up: rate, Down: rate},
					Detect: 6 * time.Second, Timing: zonetest.Timing{Silence: peer.DefaultSilence},
				}
				if tt.wide { // so long a line at the origin takes more than three budgets of 5 s
					o.Peer = func(_ string, o *peer.Options) { o.Budget = 15 * time.Second }
				}
				z := zonetest.New(t, o)
				trace(t, z)
				var left, right []int
				for i := range tt.nodes / 2 {
					left, right = append(left, i), append(right, i+tt.nodes/2)
				}
				ideal := time.Duration(float64(z.Len()*(256<<10)) / rate * float64(time.Second))
				time.AfterFunc(ideal/4, func() { z.Partition(left, right) })
				slowest := time.Duration(0)
				order, ahead := z.Orders()
				if tt.wide {
					order = placement.OrderLimits{Window: 256, Out: 16, Demand: 4}
					ahead = placement.OrderLimits{Window: 1, Out: 16, Demand: 16, Ahead: 384}
				}
				for _, took := range startBy(t, z, z.Nodes(), order, ahead) {
					slowest = max(slowest, took)
				}
				if limit := 3*ideal + 5*time.Second; slowest > limit {
					t.Errorf("the slowest host took %v, want at most %v", slowest, limit)
				}
				most, _, total := z.OriginMost()
				more := 0
				for i := range z.Len() {
					if z.OriginReads(z.ID(i)) > 2 {
						more++
					}
				}
				if tt.wide {
					figure.Report(t, fmt.Sprintf("zonetest.partition_unnoticed_%d_wide.most_origin_reads", tt.nodes), float64(most), "reads")
					checkOrigin(t, z, 2, 2*z.Len())
					return
				}
				figure.Report(t, fmt.Sprintf("zonetest.partition_unnoticed_%d.most_origin_reads", tt.nodes), float64(most), "reads")
				figure.Report(t, fmt.Sprintf("zonetest.partition_unnoticed_%d.read_more_than_twice", tt.nodes), float64(more)/float64(z.Len()), "x")
				t.Logf("%d origin reads of %d blocks, at most %d of one, %d more than twice; the slowest host after %v, ideal %v", total, z.Len(), most, more, slowest, ideal)
				// A node that takes a busy one for dead asks the next holder: in the worst
				// runs for 4 of 1024 blocks.
				checkOrigin(t, z, 3, 2*z.Len())
				if more > max(1, z.Len()/100) {
					t.Errorf("%d of %d blocks were read more than twice", more, z.Len())
				}
			})
		})
	}
}
