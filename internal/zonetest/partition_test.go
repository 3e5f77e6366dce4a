package zonetest_test

import (
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
// link is as slow as one host's, is read once by each half.
func TestAPartitionNobodyHasNoticed(t *testing.T) {
	for _, tt := range []struct {
		name          string
		nodes, blocks int
	}{
		{"8 nodes", 8, sized(128, 1024)},
		{"16 nodes", 16, sized(128, 1024)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const rate = 12.5e6
				z := zonetest.New(t, zonetest.Options{
					Nodes: tt.nodes, Blocks: tt.blocks, BlockSize: 256 << 10, OriginRate: rate,
					Link:   zonetest.Link{Up: rate, Down: rate},
					Detect: 6 * time.Second, Timing: zonetest.Timing{Silence: peer.DefaultSilence},
				})
				trace(t, z)
				var left, right []int
				for i := range tt.nodes / 2 {
					left, right = append(left, i), append(right, i+tt.nodes/2)
				}
				ideal := time.Duration(float64(z.Len()*(256<<10)) / rate * float64(time.Second))
				time.AfterFunc(ideal/4, func() { z.Partition(left, right) })
				slowest := time.Duration(0)
				// With the narrower window of links of this rate a few blocks are read three times.
				wide := placement.OrderLimits{Window: 256, Out: 16, Demand: 4}
				ahead := placement.OrderLimits{Window: 1, Out: 16, Demand: 16, Ahead: 384}
				for _, took := range startBy(t, z, z.Nodes(), wide, ahead) {
					slowest = max(slowest, took)
				}
				most, _, total := z.OriginMost()
				figure.Report(t, "zonetest.partition_unnoticed."+tt.name+".most_origin_reads", float64(most), "reads")
				t.Logf("%d origin reads of %d blocks, at most %d of one; the slowest host after %v, ideal %v", total, z.Len(), most, slowest, ideal)
				checkOrigin(t, z, 2, 2*z.Len())
				if limit := 3*ideal + 5*time.Second; slowest > limit {
					t.Errorf("the slowest host took %v, want at most %v", slowest, limit)
				}
			})
		})
	}
}
