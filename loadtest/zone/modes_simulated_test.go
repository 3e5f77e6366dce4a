package zone_test

import (
	"testing"
	"time"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/loadtest/sim/spread"
)

// TestProveZoneModesSimulated simulates bursts of as many bytes in blocks as long as a
// start of the image has, and all of it: what the protocol takes where no processor is
// ever busy.
func TestProveZoneModesSimulated(t *testing.T) {
	for name, size := range map[string]struct{ bytes, mean int }{
		"start": {14_050_246, 60_000}, "whole": {50_764_797, 53_000},
	} {
		took := map[int]float64{}
		for _, hosts := range []int{1, 16} {
			z := spread.Zone{
				Hosts: hosts, Sizes: spread.Varied(size.bytes, size.mean, 1), Rate: float64(modest.Rate), OriginRate: float64(modest.Rate),
				OriginDelay: 5 * time.Millisecond, Spread: 10 * time.Millisecond, Overhead: headers, Seed: 1,
			}
			r := spread.Run(z, spread.Cached)
			t.Logf("%s: %s", name, r)
			took[hosts] = r.Time.Max
			if r.Time.Max < r.Bound {
				t.Errorf("%s: %d hosts end after %v s, before the bound, %v", name, hosts, r.Time.Max, r.Bound)
			}
		}
		figure.Report(t, "sim.modes."+name+".flat_x", took[16]/took[1], "x")
	}
}
