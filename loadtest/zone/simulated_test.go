package zone_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/netlab"
	"github.com/zonecache/cached/loadtest/sim/spread"
	"github.com/zonecache/cached/loadtest/zone"
)

// headers are what links carry beyond the blocks: Ethernet, TCP and TLS of jumbo
// frames, HTTP of blocks of some 150 KB, and the asks.
const headers = 0.02

// TestProveZoneBesideSimulator runs bursts on links that a small machine fills with
// ease, and simulates the same ones.
func TestProveZoneBesideSimulator(t *testing.T) {
	alone(t)
	for _, nodes := range []int{2, 4, 8, 16} {
		t.Run(fmt.Sprint(nodes, " hosts"), func(t *testing.T) {
			o := options(t, zone.Redirect)
			o.Nodes, o.Image = nodes, 32<<20
			o.Link, o.OriginLink = netlab.Link{Rate: 25 * netlab.Mbit, Queue: 1 << 20}, netlab.Link{Rate: 25 * netlab.Mbit, Queue: 1 << 20}
			b := runBurst(t, own(), o)
			rate := float64(o.Link.Rate)
			z := spread.Zone{
				Hosts: nodes, Sizes: spread.Varied(int(o.Image), int(o.Image/b.blocks), 1), Rate: rate, OriginRate: rate,
				OriginDelay: 5 * time.Millisecond, Spread: 10 * time.Millisecond, Overhead: headers, Seed: 1,
			}
			r := spread.Run(z, spread.Cached)
			t.Logf("simulated: %s", r)
			// The bound of the measurement knows no headers.
			figure.Report(t, fmt.Sprintf("sim.beside_real_%d", nodes), r.Time.Max/(r.Bound/(1+headers))/b.vsBound, "x")
			figure.Report(t, fmt.Sprintf("sim.beside_real_%d_cpu_share", nodes), b.cpuShare, "x")
		})
	}
}
