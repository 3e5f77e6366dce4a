package placement_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/zonecache/cached/internal/figure"
)

// sixteen is the zone of the real measurement: 16 hosts at 100 Mbit/s, an origin
// whose link is no faster, blocks as a cut leaves them.
func sixteen(image int) zone {
	return zone{hosts: 16, sizes: variedBlocks(image, 150_000, 1), rate: 100e6, originRate: 100e6, originDelay: 0.02, seed: 1}
}

// thousand is BURST.md's zone, smaller if wanted.
func thousand(hosts int) zone {
	return zone{hosts: hosts, sizes: equalBlocks(256, 256<<10), rate: 1e9, originRate: 4e9, originDelay: 0.02, seed: 1}
}

// everyTenthSlow makes the links of a tenth of the hosts four times slower.
func everyTenthSlow(i int) float64 {
	if i%10 == 9 {
		return 4
	}
	return 1
}

// checkAll fails the test unless every surviving host has every block, and the
// origin was read once for each, but for those a dead owner was reading.
func (s *sim) checkAll(t rapid.TB) {
	t.Helper()
	for _, h := range s.hosts {
		if !h.dead && h.left > 0 {
			t.Fatalf("%s lacks %d of %d blocks: %s%s", h.name, h.left, len(s.sizes), s, s.stuck())
		}
	}
	if len(s.deaths) == 0 && s.originReads != len(s.sizes) {
		t.Fatalf("%d origin reads of %d blocks", s.originReads, len(s.sizes))
	}
}

func TestBurst(t *testing.T) {
	image := 64 << 20
	if figure.Instrumented {
		image = 8 << 20
	}
	quick := func(z zone) zone { z.hosts, z.sizes = 48, equalBlocks(128, 128<<10); return z }
	for _, tt := range []struct {
		name string
		zone zone
		most float64 // times the bound
	}{
		{"16 hosts, a slow origin", sixteen(image), 1.6},
		{"48 hosts", quick(thousand(48)), 1.6},
		{"48 hosts at 10 Gb/s", func() zone { z := quick(thousand(48)); z.rate, z.originRate = 10e9, 40e9; return z }(), 4},
		{"slow links", func() zone { z := quick(thousand(48)); z.slow = everyTenthSlow; return z }(), 5},
		{"deaths", func() zone {
			z := quick(thousand(48))
			z.deaths, z.deathFrom, z.deathEvery = []int{7, 18, 29}, 0.04, 0.02
			return z
		}(), 2.5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := simulate(tt.zone)
			t.Log(s)
			s.checkAll(t)
			if times := s.times(nil); slices.Max(times) > tt.most {
				t.Fatalf("the last host took %.2f of the bound, want at most %.2f", slices.Max(times), tt.most)
			}
		})
	}
}

// One block asked by all at once: a star takes 15 times its transfer.
func TestBurstOneBlock(t *testing.T) {
	z := sixteen(1)
	z.sizes = []int{256 << 10}
	s := simulate(z)
	s.checkAll(t)
	ratio := (s.firstBlock() - z.originDelay) / (256 << 10 * 8 / z.rate)
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
		z := zone{
			hosts: draw("hosts", 1, 12), rate: 1e9, originRate: float64(draw("origin Gb/s", 1, 8)) * 1e9,
			originDelay: float64(draw("origin ms", 0, 20)) / 1e3, jitter: float64(draw("jitter", 0, 50)),
			spread: float64(draw("spread ms", 1, 30)) / 1e3, detect: float64(draw("detect ms", 1, 20)) / 1e3,
			seed: rapid.Uint64().Draw(rt, "seed"),
		}
		z.limits.PerBlock, z.limits.Total, z.limits.Given = draw("f", 1, 3), draw("T", 1, 8), draw("given", 1, 8)
		z.order.Window, z.order.Out, z.order.Demand = draw("W", 1, 40), draw("w", 1, 16), draw("d", 1, 4)
		for range draw("blocks", 1, 30) {
			z.sizes = append(z.sizes, draw("size", 8<<10, 300<<10))
		}
		if draw("slow", 0, 1) == 1 {
			z.slow = func(i int) float64 { return float64(1 + i%3*4) }
		}
		for range draw("deaths", 0, z.hosts/2) {
			if who := draw("who", 0, z.hosts-1); !slices.Contains(z.deaths, who) {
				z.deaths = append(z.deaths, who)
			}
		}
		z.deathFrom, z.deathEvery = float64(draw("from ms", 1, 50))/1e3, float64(draw("every ms", 1, 20))/1e3
		s := simulate(z)
		s.checkAll(rt)
		if messages := float64(s.messages) / float64(len(z.sizes)*z.hosts); messages > 60 {
			rt.Fatalf("%.0f messages a block: %s", messages, s)
		}
	})
}

func TestProveBurstSim(t *testing.T) {
	if !figure.Full() {
		t.Skip("the full size runs under " + figure.FullEnv + "=1")
	}
	report := func(name string, s *sim, which func(*host) bool) {
		t.Log(name, s)
		s.checkAll(t)
		times := s.times(which)
		figure.Report(t, "burst."+name+"_p50_x", quantile(times, .5), "x bound")
		figure.Report(t, "burst."+name+"_p99_x", quantile(times, .99), "x bound")
		figure.Report(t, "burst."+name+"_max_x", slices.Max(times), "x bound")
	}
	s := simulate(sixteen(256 << 20))
	report("sim_16", s, nil)
	figure.Report(t, "burst.sim_16_x", slices.Max(s.times(nil)), "x bound")
	figure.Report(t, "burst.sim_16_origin_reads", float64(s.originReads)/float64(len(s.sizes)), "reads/block")

	without := slices.Max(s.times(nil))
	one := sixteen(256 << 20)
	one.slow = func(i int) float64 { return map[bool]float64{true: 4, false: 1}[i == 5] }
	s = simulate(one)
	report("sim_16_one_slow_others", s, func(h *host) bool { return h.name != "h5" })
	figure.Report(t, "burst.sim_16_one_slow_ratio", slices.Max(s.times(func(h *host) bool { return h.name != "h5" }))/without, "x")

	s = simulate(thousand(1000))
	report("sim_1000", s, nil)
	figure.Report(t, "burst.sim_1000_first_block", s.firstBlock()*1e3, "ms")
	figure.Report(t, "burst.sim_1000_messages", float64(s.messages)/float64(len(s.sizes)*len(s.hosts)), "messages/block")

	z := thousand(1000)
	z.slow = everyTenthSlow
	fast := func(h *host) bool { return h.up*8 > z.rate/2 }
	report("sim_1000_slow_tenth_others", simulate(z), fast)

	z = thousand(1000)
	for i := range 50 {
		z.deaths = append(z.deaths, i*20+3)
	}
	z.deathFrom, z.deathEvery = 0.05, 0.4/50
	report("sim_1000_deaths", simulate(z), nil)

	z = thousand(1000)
	z.rate, z.originRate, z.inFlight = 10e9, 40e9, 16
	report("sim_1000_10g", simulate(z), nil)

	z = thousand(1000)
	z.spread = 2
	report("sim_1000_spread", simulate(z), nil) // it is a plain owner read then
}
