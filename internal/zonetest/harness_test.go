package zonetest_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/zonetest"
)

// The harness itself, with a peer tier whose behaviour is known.

func TestHarnessCountsOriginReads(t *testing.T) {
	for _, l1 := range []zonetest.L1{zonetest.Keeps, zonetest.Forgets, zonetest.Real} {
		synctest.Test(t, func(t *testing.T) {
			z := zonetest.New(t, zonetest.Options{Nodes: 4, L1: l1, L1Blocks: 64}.Naive())
			readEverywhere(t, z)
			most, _, total := z.OriginMost()
			if l1 != zonetest.Forgets && (most != 1 || total != z.Len()) {
				t.Errorf("L1 %v: %d origin reads of %d blocks, one was read %d times", l1, total, z.Len(), most)
			}
			if served := z.Served(); served.Requests() != int64(4*z.Len()) || served.Errors != 0 {
				t.Errorf("L1 %v: served %+v", l1, served)
			}
		})
	}
}

func TestHarnessMembershipFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zonetest.New(t, zonetest.Options{Nodes: 4, Spare: 1, L2: zonetest.Disk, Detect: time.Second}.Naive())
		id := z.ID(0)
		owner := z.Owner(id)
		owner.MustRead(t.Context(), id)
		z.Kill(owner.Index)
		if _, err := owner.Read(t.Context(), id); !errors.Is(err, zonetest.ErrEnded) {
			t.Errorf("read on a dead node: %v", err)
		}
		z.Settle()
		heir := z.Owner(id)
		if heir == owner {
			t.Fatal("a dead node owns a block")
		}
		if from := heir.MustRead(t.Context(), id); from != block.Origin {
			t.Errorf("the heir reads from %s", from)
		}
		z.Join(owner.Index)
		z.Settle()
		if z.Owner(id) != owner {
			t.Error("the node that came back does not own its block")
		}
		if from := owner.MustRead(t.Context(), id); from != block.Disk {
			t.Errorf("after its restart the node reads from %s", from)
		}
		z.Join(4)
		z.Settle()
		if n := len(z.OwnedBy(z.Node(4))); n == 0 {
			t.Error("the node that joined owns nothing")
		}
		z.Partition([]int{0, 1}, []int{2, 3, 4})
		z.Settle()
		readEverywhere(t, z)
		if _, _, total := z.OriginMost(); total < 2*z.Len()-1 {
			t.Errorf("two halves have read the origin %d times for %d blocks", total, z.Len())
		}
	})
}

func TestHarnessKillsReadsInProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zonetest.New(t, zonetest.Options{OriginDelay: time.Second}.Naive())
		var wg sync.WaitGroup
		for _, n := range z.Nodes() {
			wg.Go(func() {
				began := time.Now()
				_, err := n.Read(t.Context(), z.ID(1))
				if n.Index == 2 && (!errors.Is(err, zonetest.ErrEnded) || time.Since(began) != 500*time.Millisecond) {
					t.Errorf("killed node: %v after %v", err, time.Since(began))
				}
			})
		}
		time.AfterFunc(500*time.Millisecond, func() { z.Kill(2) })
		wg.Wait()
	})
}

func TestHarnessOriginFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zonetest.New(t, zonetest.Options{}.Naive())
		z.Origin().Fail(block.ErrUnavailable)
		if _, err := z.Node(0).Read(t.Context(), z.ID(0)); !errors.Is(err, block.ErrUnavailable) {
			t.Errorf("error %v", err)
		}
		z.Origin().Fail(nil)
		z.Node(0).MustRead(t.Context(), z.ID(0))
	})
}
