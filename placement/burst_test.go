package placement_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/loadtest/sim/spread"
)

const ms = time.Millisecond

// sixteen is the zone of the real measurement: 16 hosts at 100 Mbit/s, an origin
// whose link is no faster, blocks as a cut leaves them.
func sixteen(image int) spread.Zone {
	return spread.Zone{Hosts: 16, Sizes: spread.Varied(image, 150_000, 1), Rate: 100e6, OriginRate: 100e6, OriginDelay: 20 * ms, Seed: 1}
}

// thousand is a zone of hosts at 1 Gb/s with an origin as fast as four of them.
func thousand(hosts int) spread.Zone {
	return spread.Zone{Hosts: hosts, Image: 64 << 20, Rate: 1e9, OriginRate: 4e9, OriginDelay: 20 * ms, Seed: 1}
}

// burst simulates a zone, and fails the test unless every surviving host has every
// block and the origin was read once for each, but for those a dead owner was
// reading.
func burst(t rapid.TB, z spread.Zone) *spread.Result {
	t.Helper()
	r := spread.Run(z, spread.Cached)
	if r.Lacking > 0 {
		t.Fatalf("%d hosts lack blocks: %s%s", r.Lacking, r, r.Stuck)
	}
	if len(z.Deaths) == 0 && r.ReadsPerBlock != 1 {
		t.Fatalf("%.4f origin reads of a block", r.ReadsPerBlock)
	}
	return r
}

func TestBurst(t *testing.T) {
	image := 64 << 20
	if figure.Instrumented {
		image = 8 << 20
	}
	quick := func(z spread.Zone) spread.Zone { z.Image, z.Block = 16<<20, 128<<10; return z }
	for _, tt := range []struct {
		name string
		zone spread.Zone
		most float64 // times the bound
	}{
		{"16 hosts, a slow origin", sixteen(image), 1.6},
		{"48 hosts", quick(thousand(48)), 1.6},
		{"48 hosts at 10 Gb/s", func() spread.Zone { z := quick(thousand(48)); z.Rate, z.OriginRate = 10e9, 40e9; return z }(), 4},
		{"slow links", func() spread.Zone { z := quick(thousand(48)); z.Slower = spread.EveryTenth(4); return z }(), 1.6},
		{"deaths", func() spread.Zone {
			z := quick(thousand(48))
			z.Deaths, z.DeathFrom, z.DeathEvery = []int{7, 18, 29}, 40*ms, 20*ms
			return z
		}(), 2.5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := burst(t, tt.zone)
			t.Log(r)
			if last := r.Time.Over(r.Bound).Max; last > tt.most {
				t.Fatalf("the last host took %.2f of the bound, want at most %.2f", last, tt.most)
			}
		})
	}
}

// One block asked by all at once: a star takes 15 times its transfer.
func TestBurstOneBlock(t *testing.T) {
	z := sixteen(1)
	z.Sizes = []int{256 << 10}
	r := burst(t, z)
	ratio := (r.First.Max - z.OriginDelay.Seconds()) / (256 << 10 * 8 / z.Rate)
	figure.Report(t, "burst.sim_16_first_block", ratio, "transfers")
	if ratio > 4 {
		t.Fatalf("the first block took %.2f transfers, want at most 4", ratio)
	}
}

// Whatever the zone, whoever dies: who survives ends with every block, nobody is
// redirected for ever, and nobody waits in a circle.
func TestBurstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(name string, from, to int) int { return rapid.IntRange(from, to).Draw(rt, name) }
		millis := func(name string, from, to int) time.Duration { return time.Duration(draw(name, from, to)) * ms }
		z := spread.Zone{
			Hosts: draw("hosts", 1, 12), Rate: 1e9, OriginRate: float64(draw("origin Gb/s", 1, 8)) * 1e9,
			OriginDelay: millis("origin ms", 0, 20), Jitter: float64(draw("jitter", 0, 50)),
			Spread: millis("spread ms", 1, 30), Detect: millis("detect ms", 1, 20),
			Seed: rapid.Uint64().Draw(rt, "seed"),
		}
		z.Readers = draw("readers", 1, z.Hosts)
		z.Limits.PerBlock, z.Limits.Total, z.Limits.Given = draw("f", 1, 3), draw("T", 1, 8), draw("given", 1, 8)
		z.Order.Window, z.Order.Out, z.Order.Demand = draw("W", 1, 40), draw("w", 1, 16), draw("d", 1, 4)
		for range draw("blocks", 1, 30) {
			z.Sizes = append(z.Sizes, draw("size", 8<<10, 300<<10))
		}
		if draw("slow", 0, 1) == 1 {
			z.Slower = func(i int) float64 { return float64(1 + i%3*4) }
		}
		for range draw("deaths", 0, z.Hosts/2) {
			if who := draw("who", 0, z.Hosts-1); !slices.Contains(z.Deaths, who) {
				z.Deaths = append(z.Deaths, who)
			}
		}
		z.DeathFrom, z.DeathEvery = millis("from ms", 1, 50), millis("every ms", 1, 20)
		if r := burst(rt, z); r.MessagesPerBlock*float64(z.Readers) > 60*float64(z.Hosts) {
			rt.Fatalf("%.0f messages a block: %s", r.MessagesPerBlock, r)
		}
	})
}

// A host that keeps less than the image drops blocks while others are sent to it
// for them.
func TestBurstOfHostsThatForget(t *testing.T) {
	z := thousand(24)
	z.Image, z.Memory = 16<<20, 2<<20
	r := spread.Run(z, spread.Cached)
	t.Log(r)
	if r.Lacking > 0 {
		t.Fatalf("%d hosts lack blocks: %s%s", r.Lacking, r, r.Stuck)
	}
	if r.Gone == 0 {
		t.Fatal("nobody was asked for a block that it had dropped: the test shows nothing")
	}
}

func TestProveBurstSim(t *testing.T) {
	if !figure.Full() {
		t.Skip("the full size runs under " + figure.FullEnv + "=1")
	}
	report := func(name string, z spread.Zone) *spread.Result {
		r := burst(t, z)
		t.Log(name, r)
		by := r.Time.Over(r.Bound)
		figure.Report(t, "burst."+name+"_p50_x", by.P50, "x bound")
		figure.Report(t, "burst."+name+"_p99_x", by.P99, "x bound")
		figure.Report(t, "burst."+name+"_max_x", by.Max, "x bound")
		return r
	}
	all := report("sim_16", sixteen(256<<20))
	figure.Report(t, "burst.sim_16_x", all.Time.Max/all.Bound, "x bound")
	figure.Report(t, "burst.sim_16_origin_reads", all.ReadsPerBlock, "reads/block")

	one := sixteen(256 << 20)
	one.Slower = func(i int) float64 { return map[bool]float64{true: 4, false: 1}[i == 5] }
	others := report("sim_16_one_slow_others", one)
	figure.Report(t, "burst.sim_16_one_slow_ratio", others.Time.Max/all.Time.Max, "x")

	r := report("sim_1000", thousand(1000))
	figure.Report(t, "burst.sim_1000_first_block", r.First.Max*1e3, "ms")
	figure.Report(t, "burst.sim_1000_messages", r.MessagesPerBlock, "messages/block")
}
