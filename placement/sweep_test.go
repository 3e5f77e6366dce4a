package placement_test

import (
	"fmt"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/loadtest/sim/spread"
	"github.com/zonecache/cached/placement"
)

// The sweeps of docs/adr/0007-burst.md: one thing changed at a time, for a
// hundred hosts and an origin as fast as four of them, and for the sixteen hosts
// whose origin is as fast as one.
func TestSweepBurst(t *testing.T) {
	if !figure.Full() {
		t.Skip("sweeps run under " + figure.FullEnv + "=1")
	}
	type change func(*spread.Zone)
	cases := []struct {
		name string
		do   change
	}{{"as decided", func(*spread.Zone) {}}}
	sweep := func(name string, values []int, set func(z *spread.Zone, v int)) {
		for _, v := range values {
			cases = append(cases, struct {
				name string
				do   change
			}{fmt.Sprint(name, " ", v), func(z *spread.Zone) { set(z, v) }})
		}
	}
	sweep("f", []int{1, 3, 4, 8}, func(z *spread.Zone, v int) { z.Limits.PerBlock = v })
	sweep("T", []int{2, 4, 6, 12, 16, 1 << 20}, func(z *spread.Zone, v int) { z.Limits.Total = v })
	sweep("given", []int{2, 4, 32}, func(z *spread.Zone, v int) { z.Limits.Given = v })
	sweep("W and look-ahead", []int{16, 32, 128, 256}, func(z *spread.Zone, v int) { z.Order.Window, z.Ahead.Ahead = v, v })
	sweep("look-ahead", []int{32, 128, 384}, func(z *spread.Zone, v int) { z.Ahead.Ahead = v })
	sweep("own reads out", []int{1, 2, 8, 16}, func(z *spread.Zone, v int) { z.Ahead.Out, z.Ahead.Demand = v, v })
	sweep("W", []int{16, 64, 256}, func(z *spread.Zone, v int) { z.Order.Window = v })
	sweep("w", []int{8, 12, 24, 32}, func(z *spread.Zone, v int) { z.Order.Out = v })
	sweep("d", []int{1, 2, 8, 16}, func(z *spread.Zone, v int) { z.Order.Demand = v })
	sweep("no further than, beyond what is complete,", []int{64, 128, 256, 384}, func(z *spread.Zone, v int) { z.Order.Ahead = v })
	sweep("bytes held back", []int{1, 16 << 10, block.MaxSize}, func(z *spread.Zone, v int) { z.HeldBack = v })
	sweep("places kept by sends without bytes", []int{1}, func(z *spread.Zone, _ int) { z.Strict = true })
	for _, c := range cases {
		for _, z := range []spread.Zone{thousand(100), sixteen(128 << 20)} {
			rate, mean := z.Usual()
			z.Order, z.Ahead = placement.DefaultOrder(rate, mean), placement.LookAhead(rate, mean)
			c.do(&z)
			t.Logf("%-50s %4d hosts: %s", c.name, z.Hosts, burst(t, z))
		}
	}
}
