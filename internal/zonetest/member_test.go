package zonetest_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/zonetest"
)

// A node that joins owns blocks that others hold: it gets them there.
func TestNewOwnerFindsBlocksAtThePreviousOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zonetest.New(t, zonetest.Options{Nodes: 8, Spare: 1, Blocks: sized(64, 512)})
		trace(t, z)
		// Each block at its owner only.
		for i := range z.Len() {
			z.Owner(z.ID(i)).MustRead(t.Context(), z.ID(i))
		}
		z.Join(8)
		z.Settle()
		joined := z.Node(8)
		owned := z.OwnedBy(joined)
		for _, i := range owned {
			if from := joined.MustRead(t.Context(), z.ID(i)); from != block.Peer {
				t.Errorf("block %d was read from %s", i, from)
			}
		}
		readEverywhere(t, z)
		checkOrigin(t, z, 1, z.Len())
		if len(owned) == 0 {
			t.Error("the new node owns nothing: the test shows nothing")
		}
	})
}

// The new owner is asked before it has anything.
func TestJoinInTheMiddleOfABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 12.5e6
		z := zonetest.New(t, zonetest.Options{
			Nodes: 8, Spare: 2, Blocks: sized(96, 512), Link: zonetest.Link{Up: rate, Down: rate}, OriginRate: 4 * rate,
		})
		trace(t, z)
		var wg sync.WaitGroup
		for k := range 2 {
			wg.Go(func() {
				sleep(time.Duration(100+100*k) * time.Millisecond)
				z.Join(8 + k)
				startAll(t, z, []*zonetest.Node{z.Node(8 + k)})
			})
		}
		startAll(t, z, z.Nodes())
		wg.Wait()
		moved := len(z.OwnedBy(z.Node(8))) + len(z.OwnedBy(z.Node(9)))
		_, _, total := z.OriginMost()
		t.Logf("%d origin reads of %d blocks, %d of which changed hands", total, z.Len(), moved)
		// While the news spread, the old and the new owner may read it both.
		checkOrigin(t, z, 3, z.Len()+moved)
		figure.Report(t, "zonetest.join.origin_reads_per_block", float64(total)/float64(z.Len()), "reads")
	})
}

// A node that leaves says so first: nothing fails, and its blocks' next owners
// read them from those who hold them.
func TestANodeLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zonetest.New(t, zonetest.Options{Nodes: 8, Blocks: 64})
		trace(t, z)
		readEverywhere(t, z)
		l := startLoad(t, z, z.Nodes(), 2, 10*time.Millisecond, 1)
		z.Leave(3)
		z.Settle()
		l.end()
		readEverywhere(t, z)
		checkOrigin(t, z, 1, z.Len())
	})
}

func TestRollingRestart(t *testing.T) {
	for _, l1 := range []zonetest.L1{zonetest.Keeps, zonetest.Bounded} {
		t.Run(fmt.Sprintf("L1 %d", l1), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nodes := sized(6, 16)
				z := zonetest.New(t, zonetest.Options{
					Nodes: nodes, Blocks: sized(64, 1024), L1: l1, L1Blocks: 32, L2: zonetest.Disk,
				})
				trace(t, z)
				readEverywhere(t, z)
				warm := z.Origin().Total()
				l := startLoad(t, z, z.Nodes(), 2, 60*time.Millisecond, 2)
				for i := range nodes {
					z.Restart(i, 2*time.Second)
					sleep(2 * time.Second)
				}
				l.end()
				again := z.Origin().Total() - warm
				// A node's blocks have another owner while it is away, who reads once
				// more what nobody that it asks has kept: less than half of them. Around
				// each change two nodes may take themselves for the owner of a block.
				most, _, _ := z.OriginMost()
				t.Logf("a block was read %d times at most", most)
				checkOrigin(t, z, 3, warm+z.Len()/2)
				rate := 1 - float64(again)/float64(l.reads.Load())
				t.Logf("%d reads, %d failed, %d of %d blocks read from the origin again, slowest %v",
					l.reads.Load(), l.failed.Load(), again, z.Len(), time.Duration(l.slowest.Load()))
				figure.Report(t, fmt.Sprintf("zonetest.rolling_restart.l1_%d.hit_rate", l1), rate, "ratio")
			})
		})
	}
}

// Rings that differ: each of two believes to own a block, or neither.
func TestDisagreeingRings(t *testing.T) {
	all := []int{0, 1, 2, 3, 4, 5, 6, 7}
	views := map[string][][]int{ // by node; nil: as it is
		"half know of one more": {all, all, all, all, all[:7], all[:7], all[:7], all},
		"each sees only itself": {{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}},
		"each misses its left neighbour": {
			{0, 1, 2, 3, 4, 5, 6},
			{1, 2, 3, 4, 5, 6, 7},
			{0, 2, 3, 4, 5, 6, 7},
			{0, 1, 3, 4, 5, 6, 7},
			{0, 1, 2, 4, 5, 6, 7},
			{0, 1, 2, 3, 5, 6, 7},
			{0, 1, 2, 3, 4, 6, 7},
			{0, 1, 2, 3, 4, 5, 7},
		},
		"one is forgotten by all":    {all[1:], all[1:], all[1:], all[1:], all[1:], all[1:], all[1:], all[1:]},
		"one does not know itself":   {all[1:], all, all, all, all, all, all, all},
		"one knows nobody who lives": {{0}, all, all, all, all, all, all, all},
	}
	for name, view := range views {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := zonetest.New(t, zonetest.Options{Nodes: 8, Blocks: sized(32, 512)})
				trace(t, z)
				for i, v := range view {
					if len(v) > 0 {
						z.SetView(i, v...)
					}
				}
				began := time.Now()
				readEverywhere(t, z)
				most := 2
				switch name {
				case "each sees only itself":
					most = 8
				case "one does not know itself":
					most = 3
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("took %v", took)
				}
				checkOrigin(t, z, most, most*z.Len())
				m, _, total := z.OriginMost()
				t.Logf("%d origin reads of %d blocks, at most %d of one, in %v", total, z.Len(), m, time.Since(began))
			})
		})
	}
}

func TestPartitionAndHealing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zonetest.New(t, zonetest.Options{Nodes: 16, Blocks: sized(64, 512), L2: zonetest.Disk})
		trace(t, z)
		var left, right []int
		for i := range 8 {
			left, right = append(left, i), append(right, i+8)
		}
		third := z.Len() / 3
		read := func(from, to int) {
			var wg sync.WaitGroup
			for _, n := range z.Nodes() {
				for i := from; i < to; i++ {
					wg.Go(func() { within(t, n, z.ID(i), 5*time.Second+100*time.Millisecond) })
				}
			}
			wg.Wait()
		}
		z.Partition(left, right)
		read(0, third) // before anybody has noticed
		z.Settle()
		read(third, 2*third)
		z.Partition()
		read(2*third, z.Len())
		z.Settle()
		for _, n := range z.Nodes() {
			n.Forget()
		}
		read(0, z.Len())
		checkOrigin(t, z, 2, 2*z.Len())
		most, _, total := z.OriginMost()
		figure.Report(t, "zonetest.partition.most_origin_reads", float64(most), "reads")
		t.Logf("%d origin reads of %d blocks, at most %d of one", total, z.Len(), most)
	})
}

// All who would stand in first are behind the partition as well.
func TestTheFirstHoldersAreAllBehindAPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zonetest.New(t, zonetest.Options{Nodes: 16, Blocks: 1})
		trace(t, z)
		holders := z.Holders(z.ID(0), 16)
		var gone, left []int
		for k, n := range holders {
			if k < 10 {
				gone = append(gone, n.Index)
			} else {
				left = append(left, n.Index)
			}
		}
		z.Partition(gone, left)
		readEverywhere(t, z)
		checkOrigin(t, z, 2, 2)
	})
}
