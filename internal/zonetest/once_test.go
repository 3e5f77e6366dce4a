package zonetest_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/zonetest"
)

func TestEachBlockIsReadOnceFromTheOrigin(t *testing.T) {
	l1s := map[string]zonetest.L1{"keeps": zonetest.Keeps, "forgets": zonetest.Forgets, "real": zonetest.Real}
	for name, l1 := range l1s {
		for _, l2 := range []zonetest.L2{zonetest.NoDisk, zonetest.Disk} {
			t.Run(fmt.Sprintf("L1 %s, L2 %d", name, l2), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					z := zonetest.New(t, zonetest.Options{
						Nodes: 16, Blocks: sized(32, 512), L1: l1, L1Blocks: sized(32, 512) * 2, L2: l2,
					})
					trace(t, z)
					readEverywhere(t, z)
					checkOrigin(t, z, 1, z.Len())
					if s := z.Served(); s.Errors != 0 || s.Requests() != int64(16*z.Len()) {
						t.Errorf("served %+v", s)
					}
				})
			})
		}
	}
}

// With shaped links reads of one block overlap for long, and nodes pass bytes on
// while they arrive.
func TestEachBlockIsReadOnceInABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 12.5e6
		z := zonetest.New(t, zonetest.Options{
			Nodes: 16, Blocks: sized(64, 512), Link: zonetest.Link{Up: rate, Down: rate}, OriginRate: 4 * rate,
		})
		trace(t, z)
		startAll(t, z, z.Nodes())
		checkOrigin(t, z, 1, z.Len())
		figure.Report(t, "zonetest.burst.origin_reads_per_block", float64(z.Origin().Total())/float64(z.Len()), "reads")
	})
}

// One block, asked for by all at once, while the origin is slow.
func TestAllWaitForOneSlowOriginRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zonetest.New(t, zonetest.Options{Nodes: 16, Blocks: 1, OriginDelay: 4 * time.Second})
		trace(t, z)
		began := time.Now()
		readEverywhere(t, z)
		checkOrigin(t, z, 1, 1)
		if took := time.Since(began); took > 4100*time.Millisecond {
			t.Errorf("took %v, want hardly more than the origin's 4 s", took)
		}
	})
}

// The origin takes longer than the peer budget: mere slowness is no reason to
// ask it again.
func TestAnOriginSlowerThanTheBudgetIsStillReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zonetest.New(t, zonetest.Options{Nodes: 16, Blocks: 2, OriginDelay: 8 * time.Second})
		trace(t, z)
		readEverywhere(t, z)
		checkOrigin(t, z, 1, z.Len())
		figure.Report(t, "zonetest.slow_origin.reads_per_block", float64(z.Origin().Total())/2, "reads")
	})
}

// Over slow links the owners' reads stand in line at the origin for longer than
// the budget: whoever read there as well would only make the line longer.
func TestEachBlockIsReadOnceInABurstOverSlowLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 25e6 / 8
		z := zonetest.New(t, zonetest.Options{
			Nodes: 16, Blocks: sized(160, 448), BlockSize: 150 << 10, Link: zonetest.Link{Up: rate, Down: rate}, OriginRate: rate,
		})
		trace(t, z)
		startAll(t, z, z.Nodes())
		checkOrigin(t, z, 1, z.Len())
	})
}

// A reader whose deadline comes sooner than that has time left for the origin.
func TestASlowOriginIsNotWaitedForBeyondTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zonetest.New(t, zonetest.Options{Nodes: 4, Blocks: 1})
		trace(t, z)
		owner := z.Owner(z.ID(0))
		z.Play(owner.Index, zonetest.AlwaysWait)
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		began := time.Now()
		if _, err := except(z, owner)[0].Read(ctx, z.ID(0)); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < 5*time.Second || took > 6*time.Second+slack {
			t.Errorf("took %v, want three quarters of 8 s and one read of the origin", took)
		}
	})
}
