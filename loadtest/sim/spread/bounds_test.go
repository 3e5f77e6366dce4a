package spread

import (
	"math"
	"testing"
	"time"
)

// near fails the test unless got is within share of want.
func near(t *testing.T, what string, got, want, share float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > share*want {
		t.Errorf("%s takes %.4f s, want %.4f", what, got, want)
	}
}

// What is known in closed form: the model's links and origin are right, whatever
// protocol moves the bytes.
func TestClosedForms(t *testing.T) {
	const rate, image = 1e9, 64 << 20
	transfer := image * 8 / rate
	zone := func(hosts int) Zone {
		return Zone{Hosts: hosts, Image: image, Rate: rate, OriginRate: 4 * rate, OriginDelay: 20 * time.Millisecond, Layers: 1, Seed: 1}
	}
	t.Run("one host: the origin's delay and a transfer", func(t *testing.T) {
		near(t, "the registry's reader", Run(zone(1), Registry).Time.Max, .02+transfer, .01)
		near(t, "a tree of one, which asks for 16 blocks at a time,", Run(zone(1), CachedTree).Time.Max, .02+transfer, .05)
	})
	t.Run("an origin slower than the host", func(t *testing.T) {
		z := zone(1)
		z.OriginRate = rate / 4
		near(t, "the registry's reader", Run(z, Registry).Time.Max, .02+4*transfer, .01)
	})
	t.Run("all from the registry: its link, shared", func(t *testing.T) {
		r := Run(zone(40), Registry)
		near(t, "the last of 40 hosts", r.Time.Max, .02+40*transfer/4, .01)
		near(t, "the median", r.Time.P50, r.Time.Max, .01)
		if r.BytesPerByte != 40 {
			t.Errorf("the registry sent %.3f times the image, want 40", r.BytesPerByte)
		}
	})
	t.Run("a host whose link is a quarter as fast", func(t *testing.T) {
		z := zone(2)
		z.Slower = func(i int) float64 { return float64(1 + 3*i) }
		s := newSim(z, Registry)
		s.run()
		near(t, "the slow one", (s.hosts[1].finish - s.hosts[1].began).Seconds(), .02+4*transfer, .01)
	})
	t.Run("headers take their share of the links", func(t *testing.T) {
		z := zone(1)
		z.Overhead = .05
		near(t, "the registry's reader", Run(z, Registry).Time.Max, .02+transfer*1.05, .01)
	})
	t.Run("a binary tree: inner nodes send everything twice", func(t *testing.T) {
		z := zone(127)
		z.Image, z.Chunk = 512<<20, 64<<10
		near(t, "Function Tree", Run(z, CachedTree).Time.P50, .02+2*8*transfer, .05)
	})
	t.Run("one block down a tree: a hop and a part of it for each level", func(t *testing.T) {
		z := zone(127)
		z.Image, z.OriginRate = 256<<10, rate
		r := Run(z, CachedTree)
		block := 256 << 10 * 8 / rate
		// The origin's link, then six levels that send it to two children in turn: half
		// of the link for each, while it still comes in.
		if least, most := .02+2*block, .02+3*block+6*2*float64(z.withSizes().Chunk)*8/rate+6*2e-4; r.Time.Max < least || r.Time.Max > most {
			t.Errorf("the last leaf has it after %.5f s, want %.5f to %.5f", r.Time.Max, least, most)
		}
	})
	t.Run("a disk reads one block after the other", func(t *testing.T) {
		z := zone(1).withSizes()
		z.Disk = Disk{Rate: 1e9, Delay: time.Millisecond}
		s := newSim(z, Cached)
		h := s.hosts[0]
		h.fromDisk(1_000_000)
		if got := h.fromDisk(1_000_000); got != 4*time.Millisecond {
			t.Errorf("two reads of 1 MB at 1 GB/s take %v, want 4 ms", got)
		}
	})
}

// withSizes is the zone with all that is not said filled in.
func (z Zone) withSizes() Zone {
	z.Sizes = z.blocks()
	return z.withDefaults(verified(&z))
}

// Nobody is faster than the links: each host receives all of the image after the
// origin's delay, and together they receive no more than hosts and origin send.
func TestNobodyBeatsTheBound(t *testing.T) {
	for _, p := range All {
		z := store(64, gbit, 32*mib)
		r := Run(z, p)
		alone := float64(z.Image) * 8 / z.Rate
		if p != Kraken { // its origins have the image already
			alone += z.OriginDelay.Seconds()
		}
		if r.Times[0] < alone {
			t.Errorf("%s: the first host has the image after %.4f s, its link takes %.4f", p, r.Times[0], alone)
		}
		if r.Time.Max < r.Time.P50 || r.First.Max > r.Time.Max {
			t.Errorf("%s: %+v %+v", p, r.Time, r.First)
		}
	}
}
