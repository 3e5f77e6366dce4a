package main

import (
	"maps"
	"testing"
)

// What was read ahead counts where it was, and each block once.
func TestADemoPassSaysWhoHadTheBlocks(t *testing.T) {
	before := statsReport{Rows: []statsRow{{Tier: "l1", Cause: "demand", Blocks: 10, Bytes: 1000}, {Tier: "l4", Cause: "prefetch", Blocks: 10, Bytes: 1000}}}
	for name, tt := range map[string]struct {
		after []statsRow
		want  map[string]uint64
	}{
		"from the origin, ahead": {[]statsRow{{Tier: "l1", Cause: "demand", Blocks: 17}, {Tier: "l4", Cause: "prefetch", Blocks: 17}, {Tier: "l4", Cause: "demand", Blocks: 3}}, map[string]uint64{"l1": 0, "l2": 0, "l4": 10}},
		"from L2, ahead":         {[]statsRow{{Tier: "l1", Cause: "demand", Blocks: 18}, {Tier: "l4", Cause: "prefetch", Blocks: 10}, {Tier: "l2", Cause: "prefetch", Blocks: 6}, {Tier: "l2", Cause: "demand", Blocks: 2}}, map[string]uint64{"l1": 2, "l2": 8, "l4": 0}},
		"from L1, ahead":         {[]statsRow{{Tier: "l1", Cause: "demand", Blocks: 20}, {Tier: "l4", Cause: "prefetch", Blocks: 10}, {Tier: "l1", Cause: "prefetch", Blocks: 9}}, map[string]uint64{"l1": 10, "l2": 0, "l4": 0}},
	} {
		for i := range tt.after {
			tt.after[i].Bytes = 100 * tt.after[i].Blocks
		}
		got := map[string]uint64{}
		for tier, s := range (demoPass{before: before, after: statsReport{Rows: tt.after}}).byTier() {
			if got[tier] = s.blocks; s.bytes != 100*s.blocks {
				t.Errorf("%s: %s has %d bytes of %d blocks", name, tier, s.bytes, s.blocks)
			}
		}
		if !maps.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
