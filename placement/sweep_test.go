package placement_test

import (
	"fmt"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/placement"
)

// The sweeps of docs/adr/0007-burst.md: one thing changed at a time, for a
// hundred hosts and an origin as fast as four of them, and for the sixteen hosts
// whose origin is as fast as one.
func TestSweepBurst(t *testing.T) {
	if !figure.Full() {
		t.Skip("sweeps run under " + figure.FullEnv + "=1")
	}
	type change func(*zone)
	cases := []struct {
		name string
		do   change
	}{{"as decided", func(*zone) {}}}
	sweep := func(name string, values []int, set func(z *zone, v int)) {
		for _, v := range values {
			cases = append(cases, struct {
				name string
				do   change
			}{fmt.Sprint(name, " ", v), func(z *zone) { set(z, v) }})
		}
	}
	sweep("f", []int{1, 3, 4, 8}, func(z *zone, v int) { z.limits.PerBlock = v })
	sweep("T", []int{2, 4, 6, 12, 16, 1 << 20}, func(z *zone, v int) { z.limits.Total = v })
	sweep("given", []int{2, 4, 32}, func(z *zone, v int) { z.limits.Given = v })
	sweep("W and look-ahead", []int{16, 32, 128, 256}, func(z *zone, v int) { z.order.Window, z.ahead.Ahead = v, v })
	sweep("look-ahead", []int{32, 128, 384}, func(z *zone, v int) { z.ahead.Ahead = v })
	sweep("own reads out", []int{1, 2, 8, 16}, func(z *zone, v int) { z.ahead.Out, z.ahead.Demand = v, v })
	sweep("W", []int{16, 64, 256}, func(z *zone, v int) { z.order.Window = v })
	sweep("w", []int{8, 12, 24, 32}, func(z *zone, v int) { z.order.Out = v })
	sweep("d", []int{1, 2, 8, 16}, func(z *zone, v int) { z.order.Demand = v })
	sweep("no further than, beyond what is complete,", []int{64, 128, 256, 384}, func(z *zone, v int) { z.order.Ahead = v })
	sweep("bytes held back", []int{1, 16 << 10, block.MaxSize}, func(z *zone, v int) { z.heldBack = v })
	sweep("places kept by sends without bytes", []int{1}, func(z *zone, _ int) { z.strict = true })
	for _, c := range cases {
		large, small := thousand(100), sixteen(128<<20)
		for _, z := range []*zone{&large, &small} {
			z.order = placement.DefaultOrder(z.usual())
			z.ahead = placement.LookAhead(z.usual())
			c.do(z)
			s := simulate(*z)
			s.checkAll(t)
			times := s.times(nil)
			t.Logf("%-50s %4d hosts: %.3f %.3f %.3f, first block %.0f ms, %.1f messages a block", c.name, z.hosts,
				quantile(times, .5), quantile(times, .99), times[len(times)-1], s.firstBlock()*1e3,
				float64(s.messages)/float64(len(s.sizes)*len(s.hosts)))
		}
	}
}
