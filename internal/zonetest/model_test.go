package zonetest_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/zonetest"
	"github.com/zonecache/cached/loadtest/sim/spread"
	"github.com/zonecache/cached/tiers/peer"
)

// timed lets all nodes of a zone read all blocks at once, and returns how long the
// median and the last one took.
func timed(t *testing.T, o zonetest.Options) (median, last time.Duration) {
	t.Helper()
	z := zonetest.New(t, o)
	took := startAll(t, z, z.Nodes())
	slices.Sort(took)
	checkOrigin(t, z, 1, z.Len())
	return took[len(took)/2], took[len(took)-1]
}

// burstOf is a burst over links of 100 Mbit/s, and the same as the simulator takes it.
func burstOf(nodes, blocks int) (zonetest.Options, spread.Zone) {
	const rate, size = 12.5e6, 128 << 10
	code := zonetest.Options{
		Nodes: nodes, Blocks: blocks, BlockSize: size,
		Link: zonetest.Link{Up: rate, Down: rate}, OriginRate: 4 * rate,
	}
	model := spread.Zone{
		Hosts: nodes, Image: int64(blocks * size), Block: size,
		Rate: 8 * rate, OriginRate: 4 * 8 * rate, OriginDelay: 20 * time.Millisecond, Seed: 1,
	}
	return code, model
}

// The simulator's hosts take as long as nodes that run the product's own code, with
// its streams, places, hedges and time-outs, in virtual time.
func TestTheSimulatorBesideTheCode(t *testing.T) {
	for _, nodes := range []int{2, 4, 8, 16} {
		t.Run(fmt.Sprint(nodes, " nodes"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, z := burstOf(nodes, sized(128, 256))
				median, last := timed(t, o)
				r := spread.Run(z, spread.Cached)
				t.Logf("code: median %.3f s, last %.3f s; %s", median.Seconds(), last.Seconds(), r)
				by := r.Time.Max / last.Seconds()
				figure.Report(t, fmt.Sprintf("sim.beside_code_%d", nodes), by, "x")
				if math.Abs(by-1) > .1 && !figure.Instrumented { // whose image is all beginning and end
					t.Errorf("the simulator's last host takes %.3f of the time of the code's, want 0.9 to 1.1", by)
				}
			})
		})
	}
}

// What docs/adr/0025-simulator.md has of the places on the wire.
func TestSweepPlaces(t *testing.T) {
	if !figure.Full() {
		t.Skip("sweeps run under " + figure.FullEnv + "=1")
	}
	for _, nodes := range []int{16, 48} {
		for seed := range uint64(2) {
			for _, active := range []int{4, 8} {
				synctest.Test(t, func(t *testing.T) {
					o, z := burstOf(nodes, 256)
					o.Seed, o.Peer = seed+1, func(_ string, o *peer.Options) { o.Limits.Active = active }
					median, last := timed(t, o)
					bound := z.Bound().Seconds()
					t.Logf("%d nodes, seed %d, %d on the wire: %.3f %.3f of the bound", nodes, seed+1, active, median.Seconds()/bound, last.Seconds()/bound)
				})
			}
		}
	}
}
