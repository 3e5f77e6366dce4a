package zonetest_test

import (
	"fmt"
	"math/bits"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/zonetest"
)

// 16 hosts start one image at once, over links of their own: the product's code
// against the bound of BURST.md, (1 + floor(log2 N)/M) S/B, and against the star.
func TestABurstComesNearTheBound(t *testing.T) {
	const rate = 12.5e6 // 100 Mbit/s
	blocks, size := sized(128, 256), sized(64<<10, 256<<10)
	base := zonetest.Options{
		Nodes: 16, Blocks: blocks, BlockSize: size,
		Link: zonetest.Link{Up: rate, Down: rate}, OriginRate: 4 * rate,
	}
	tree := byTree(base)
	star := base
	star.Timing.Silence = time.Hour // its queues are long
	bound := (1 + float64(bits.Len(uint(base.Nodes))-1)/float64(blocks)) * float64(blocks*size) / rate
	over := map[string]float64{}
	for _, mode := range []struct {
		name  string
		opts  zonetest.Options
		start func(*testing.T, *zonetest.Zone, []*zonetest.Node) []time.Duration
	}{{"redirect", base, startAll}, {"tree", tree, startInOrder}, {"star", star.Naive(), startAll}} {
		t.Run(mode.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := zonetest.New(t, mode.opts)
				trace(t, z)
				took := mode.start(t, z, z.Nodes())
				slices.Sort(took)
				last := took[len(took)-1].Seconds()
				over[mode.name] = last / bound
				traffic := z.Net().Traffic()
				t.Logf("%s: %.3f s, %.3f times the bound of %.3f s; median host %.3f; %.2f asks a block and host, %d origin reads of %d blocks, answers %v",
					mode.name, last, last/bound, bound, took[len(took)/2].Seconds()/bound,
					float64(traffic.Asks)/float64(blocks*base.Nodes), z.Origin().Total(), blocks, traffic.Answers)
				figure.Report(t, fmt.Sprintf("zonetest.burst.%s.over_bound", mode.name), last/bound, "ratio")
				checkOrigin(t, z, 1, z.Len())
				if mode.name != "star" {
					t.Logf("%+v", z.Stats())
				}
			})
		})
	}
	if over["redirect"] > 1.3 && !figure.Instrumented { // a burst of a few blocks is all beginning and end
		t.Errorf("the burst takes %.2f times the bound, want at most 1.3", over["redirect"])
	}
}

// startInOrder lets the nodes read all blocks in the order of the image, as a
// tree wants it: all nodes are served the same blocks at the same time.
func startInOrder(t *testing.T, z *zonetest.Zone, nodes []*zonetest.Node) []time.Duration {
	t.Helper()
	return []time.Duration{startTree(t, z, nodes)}
}

// All ask for one block at once: the last has it after few times the block's
// own transfer; a star takes 15.
func TestTheFirstBlockOfABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 12.5e6
		const origin = 20 * time.Millisecond
		z := zonetest.New(t, zonetest.Options{
			Nodes: 16, Blocks: 1, BlockSize: 256 << 10, OriginDelay: origin,
			Link: zonetest.Link{Up: rate, Down: rate}, OriginRate: 4 * rate,
		})
		trace(t, z)
		began := time.Now()
		readEverywhere(t, z)
		beyond := time.Since(began) - origin
		times := beyond.Seconds() / (256 << 10) * rate
		t.Logf("%v beyond the origin's delay, %.2f times one transfer", beyond, times)
		figure.Report(t, "zonetest.burst.first_block", times, "transfers")
		if times > 4 {
			t.Errorf("%.2f times one block's transfer, want at most 4", times)
		}
		checkOrigin(t, z, 1, 1)
	})
}
