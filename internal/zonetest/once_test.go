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

// The origin takes longer than the peer budget, as each node's own reads show it:
// mere slowness is no reason to ask it again.
func TestAnOriginSlowerThanTheBudgetIsStillReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zonetest.New(t, zonetest.Options{Nodes: 16, Blocks: 128, OriginDelay: 8 * time.Second})
		trace(t, z)
		readEverywhere(t, z)
		checkOrigin(t, z, 1, z.Len())
		figure.Report(t, "zonetest.slow_origin.reads_per_block", float64(z.Origin().Total())/float64(z.Len()), "reads")
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

// A reader whose deadline comes soon has time left for the origin, however long
// others say that they wait for it: where this node's own reads are slow they are
// believed that long, where they are fast half of the time is the peers'.
func TestASlowOriginIsNotWaitedForBeyondTheDeadline(t *testing.T) {
	for _, tt := range []struct{ origin, least, most time.Duration }{
		{0, 3 * time.Second, 4*time.Second + slack},
		{1900 * time.Millisecond, 5 * time.Second, 8 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			z := zonetest.New(t, zonetest.Options{Nodes: 4, Blocks: 32, OriginDelay: tt.origin})
			trace(t, z)
			owner := z.Owner(z.ID(0))
			reader := except(z, owner)[0]
			for i := range z.Len() {
				if z.Owner(z.ID(i)) == reader {
					within(t, reader, z.ID(i), budget)
				}
			}
			z.Play(owner.Index, zonetest.AlwaysWait)
			ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
			defer cancel()
			began := time.Now()
			if _, err := reader.Read(ctx, z.ID(0)); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took < tt.least || took > tt.most {
				t.Errorf("an origin of %v: took %v, want %v to %v", tt.origin, took, tt.least, tt.most)
			}
		})
	}
}
