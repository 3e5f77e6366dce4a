package zonetest_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/zonetest"
	"github.com/zonecache/cached/tiers/peer"
)

// byTree makes the nodes distribute by Function Trees.
func byTree(o zonetest.Options) zonetest.Options {
	o.Peer = func(_ string, p *peer.Options) { p.Distribution = peer.ByTree }
	return o
}

// starting returns a context of reads of an image.
func starting(t *testing.T) context.Context {
	return block.WithCall(t.Context(), block.Call{Image: "flask:v1"})
}

// startTree reads the image on all nodes at once, each in the order of the image,
// and returns how long it took until the last had all of it.
func startTree(t *testing.T, z *zonetest.Zone, nodes []*zonetest.Node) time.Duration {
	t.Helper()
	ids := make([]block.ID, z.Len())
	for i := range ids {
		ids[i] = z.ID(i)
	}
	began := time.Now()
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(func() { n.ReadAll(starting(t), ids, 16) })
	}
	wg.Wait()
	return time.Since(began)
}

// A burst by the tree: one origin read for each block, and all blocks come from
// the parents. It takes about twice the bound, since the leaves send nothing.
func TestTreeBurst(t *testing.T) {
	const rate = 12.5e6
	synctest.Test(t, func(t *testing.T) {
		z := zonetest.New(t, byTree(zonetest.Options{
			Nodes: 16, Blocks: sized(64, 512), Link: zonetest.Link{Up: rate, Down: rate}, OriginRate: rate,
		}))
		took := startTree(t, z, z.Nodes())
		checkOrigin(t, z, 1, z.Len())
		fallbacks := uint64(0)
		for _, n := range z.Nodes() {
			fallbacks += n.Tier().TreeStats().Fallbacks
		}
		if fallbacks > 0 {
			t.Errorf("%d reads did not come from the parent", fallbacks)
		}
		bound := (float64(z.Len()) + 4) * 64 * 1024 / rate
		figure.Report(t, "zonetest.tree.in_order", took.Seconds()/bound, "x bound")
		if took.Seconds() > 2.6*bound {
			t.Errorf("took %v, the bound is %.3f s", took, bound)
		}
	})
}

// Nodes are killed and come back, are cut off and slowed at random while all read:
// no read fails, no byte is wrong, and all have a seat in one tree in the end.
func TestTreeInTrouble(t *testing.T) {
	seeds, troubles := sized(2, 30), 15
	if figure.Instrumented { // rings are dear then
		seeds, troubles = 1, 4
	}
	for seed := range uint64(seeds) {
		synctest.Test(t, func(t *testing.T) {
			z := zonetest.New(t, byTree(zonetest.Options{
				Nodes: 12, Blocks: 100, BlockSize: 16 << 10, L1: zonetest.Bounded, L1Blocks: 20, Seed: seed, OriginDelay: 5 * time.Millisecond,
			}))
			src := rand.New(rand.NewPCG(seed, 7))
			over := make(chan struct{})
			var wg sync.WaitGroup
			var mu sync.Mutex
			var slowest time.Duration
			for i := range 12 {
				src := rand.New(rand.NewPCG(seed, uint64(100+i)))
				wg.Go(func() {
					for {
						select {
						case <-over:
							return
						case <-time.After(time.Duration(src.IntN(500)) * time.Millisecond):
						}
						began := time.Now()
						z.Node(i).MustRead(starting(t), z.ID(src.IntN(z.Len())))
						mu.Lock()
						slowest = max(slowest, time.Since(began))
						mu.Unlock()
					}
				})
			}
			for range troubles {
				sleep(time.Duration(500+src.IntN(1500)) * time.Millisecond)
				victim := src.IntN(12)
				switch n := z.Node(victim); {
				case !n.Running():
					z.Join(victim)
				case src.IntN(3) == 0:
					z.Partition([]int{victim}, without(12, victim))
				case src.IntN(3) == 0:
					z.Heal()
				case len(z.Nodes()) > 6:
					z.Kill(victim)
				}
			}
			z.Heal()
			for i := range 12 {
				if !z.Node(i).Running() {
					z.Join(i)
				}
			}
			sleep(8 * time.Second)
			close(over)
			wg.Wait()
			if t.Logf("seed %d: the slowest read took %v", seed, slowest); slowest > peer.DefaultBudget+time.Second {
				t.Errorf("seed %d: a read took %v", seed, slowest)
			}
			nodes := 0
			for _, n := range z.Nodes() {
				for _, s := range n.Tier().Trees() {
					if s.Nodes > 0 && s.Nodes < 12 {
						t.Errorf("seed %d: %s has %+v", seed, n.Name, s)
					}
					nodes = max(nodes, s.Nodes)
				}
			}
			if nodes != 12 {
				t.Errorf("seed %d: the tree has %d nodes", seed, nodes)
			}
		})
	}
}

func without(n, i int) []int {
	var others []int
	for j := range n {
		if j != i {
			others = append(others, j)
		}
	}
	return others
}
