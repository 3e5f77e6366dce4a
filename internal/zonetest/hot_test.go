package zonetest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/zonetest"
	"github.com/zonecache/cached/tiers/peer"
)

// A block that many read has a second holder before its owner dies.
func TestAHotBlockSurvivesItsOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zonetest.New(t, zonetest.Options{Nodes: 16, Blocks: 4, L2: zonetest.Disk})
		trace(t, z)
		id := z.ID(0)
		holders := z.Holders(id, 2)
		for range 3 {
			for _, n := range z.Nodes() {
				n.MustRead(t.Context(), id)
				n.Forget()
			}
			sleep(time.Second)
		}
		if n := z.Stats().OffersTaken; n == 0 {
			t.Errorf("nobody was offered a replica: %+v", z.Stats())
		}
		if !holders[1].Disk().Holds(id) {
			t.Error("the next holder has no replica on its disk")
		}
		z.Kill(holders[0].Index)
		z.Settle()
		for _, n := range z.Nodes() {
			n.Forget()
			within(t, n, id, time.Second)
		}
		checkOrigin(t, z, 1, 1)
	})
}

// In one burst most readers never read from the owner. Their asks are enough for a
// second holder, and not for all disks to write everything.
func TestABurstLeavesReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 12.5e6
		z := zonetest.New(t, zonetest.Options{
			Nodes: 16, Blocks: sized(128, 448), BlockSize: 150 << 10, Link: zonetest.Link{Up: rate, Down: rate}, OriginRate: rate, L2: zonetest.Disk,
		})
		trace(t, z)
		startAll(t, z, z.Nodes())
		checkOrigin(t, z, 1, z.Len())
		onDisks, replicas := 0, 0
		for _, n := range z.Nodes() {
			onDisks += n.Disk().Len()
		}
		for i := range z.Len() {
			if z.Holders(z.ID(i), 2)[1].Disk().Holds(z.ID(i)) {
				replicas++
			}
		}
		writes := float64(onDisks) / float64(z.Len())
		figure.Report(t, "zonetest.burst.disk_writes_per_block", writes, "writes")
		figure.Report(t, "zonetest.burst.replicas", float64(replicas)/float64(z.Len()), "x")
		if replicas < z.Len()/2 {
			t.Errorf("the next holders have %d of %d blocks on their disks", replicas, z.Len())
		}
		if writes > 4 {
			t.Errorf("each block is on %.1f disks of 16", writes)
		}
	})
}

// Blocks that few read are not copied about.
func TestAColdBlockHasNoReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zonetest.New(t, zonetest.Options{Nodes: 16, Blocks: 32, L2: zonetest.Disk})
		trace(t, z)
		for i := range z.Len() {
			for _, n := range z.Nodes()[:3] {
				n.MustRead(t.Context(), z.ID(i))
			}
		}
		onDisks := 0
		for _, n := range z.Nodes() {
			onDisks += n.Disk().Len()
		}
		if onDisks != z.Len() {
			t.Errorf("%d blocks are on %d disks, want one each", z.Len(), onDisks)
		}
	})
}

// Hedges cost at most 5 % extra asks, however slow the owners are, and help
// against one that has become slow.
func TestHedgesStayWithinTheirBudget(t *testing.T) {
	for name, slow := range map[string]func(z *zonetest.Zone){
		"one is slow": func(z *zonetest.Zone) { z.Shape(1, zonetest.Link{Latency: 200 * time.Millisecond}) },
		"all are slow": func(z *zonetest.Zone) {
			for _, n := range z.Nodes() {
				z.Shape(n.Index, zonetest.Link{Latency: 100 * time.Millisecond})
			}
		},
		"none is slow": func(*zonetest.Zone) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := zonetest.New(t, zonetest.Options{Nodes: 8, Blocks: 128, BlockSize: 16 << 10, L2: zonetest.Disk, Admit: peer.AdmitAlways})
				trace(t, z)
				readEverywhere(t, z) // all have all on their disks
				reads := 0
				reader := z.Node(0)
				round := func() {
					sleep(time.Second) // what has arrived is not at hand any more
					for i := range z.Len() {
						if z.Owner(z.ID(i)) != reader {
							reader.Disk().Clear()
							reader.Forget()
							reader.MustRead(t.Context(), z.ID(i))
							reads++
						}
					}
				}
				round()
				before := reader.Tier().Stats().Hedges
				reads = 0
				slow(z)
				for range sized(3, 20) {
					round()
				}
				hedges := int(reader.Tier().Stats().Hedges - before)
				share := float64(hedges) / float64(reads)
				t.Logf("%s: %d hedges in %d reads, %d won", name, hedges, reads, reader.Tier().Stats().HedgesWon)
				if float64(hedges) > 0.05*float64(reads)+8 {
					t.Errorf("%d hedges in %d reads", hedges, reads)
				}
				if name == "one is slow" {
					figure.Report(t, "zonetest.hedges.share", share, "ratio")
				}
				checkOrigin(t, z, 1, z.Len())
			})
		})
	}
}
