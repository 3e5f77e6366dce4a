package zonetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/tiers/peer"
)

// TestProveAdmission is the evidence behind docs/adr/0010-l2-admission.md: hosts
// start images by a Zipf law, with the L2 of all of them together as large as
// half, as all and as twice of what the images have.
func TestProveAdmission(t *testing.T) {
	nodes, images, perImage, starts := 4, 40, 10, 90
	if figure.Full() {
		nodes, images, perImage, starts = 16, 100, 20, 1200
	}
	blocks := images * perImage
	for _, size := range []struct {
		name  string
		zones float64 // all L2 together, in working sets
	}{{"half", 0.5}, {"one", 1}, {"two", 2}} {
		for _, policy := range []peer.Policy{peer.AdmitHot, peer.AdmitSecond, peer.AdmitAlways} {
			t.Run(fmt.Sprintf("%s/%s", size.name, policy), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					z := New(t, Options{
						Nodes: nodes, Blocks: blocks, BlockSize: 512, L1: Bounded, L1Blocks: max(blocks/50, perImage),
						L2: Disk, L2Blocks: int(size.zones*float64(blocks)) / nodes, Admit: policy, Seed: 7,
					})
					rng := rand.New(rand.NewPCG(7, uint64(policy)))
					popular := rand.NewZipf(rng, 1.1, 1, uint64(images-1))
					served := map[block.Tier]int{}
					for start := range starts {
						if start == starts/3 { // warm from here on
							clear(served)
						}
						// A few starts at a time, as hosts have them.
						var mu sync.Mutex
						var wg sync.WaitGroup
						for range 4 {
							n, image := z.Node(rng.IntN(nodes)), int(popular.Uint64())
							wg.Go(func() {
								for i := range perImage {
									from := n.MustRead(context.Background(), z.ID(image*perImage+i))
									mu.Lock()
									served[from]++
									mu.Unlock()
								}
							})
						}
						wg.Wait()
						<-time.After(500 * time.Millisecond)
					}
					total, written := 0, 0
					for _, n := range served {
						total += n
					}
					for _, n := range z.Nodes() {
						written += n.Disk().Offers()
					}
					name := "zone.admission." + size.name + "." + policy.String()
					figure.Report(t, name+".local", float64(served[block.Memory]+served[block.Disk])/float64(total), "of reads")
					figure.Report(t, name+".peer", float64(served[block.Peer])/float64(total), "of reads")
					figure.Report(t, name+".origin", float64(served[block.Origin])/float64(total), "of reads")
					figure.Report(t, name+".l2_writes", float64(written)/float64(4*starts*perImage), "per read")
				})
			})
		}
	}
}
