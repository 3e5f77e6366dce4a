package placement_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

func TestOrderFirstTheNextOnesThenRandomOnes(t *testing.T) {
	first := func(seed uint64) []int {
		o := placement.NewOrder(2000, seed, placement.OrderLimits{})
		var got []int
		for i, ok := o.Next(); ok; i, ok = o.Next() {
			got = append(got, i)
		}
		return got
	}
	a, b := first(1), first(2)
	if len(a) != 16 || !slices.Equal(a[:4], []int{0, 1, 2, 3}) || slices.Max(a) >= 4+64+12 {
		t.Fatalf("first asked for %v", a)
	}
	if slices.Equal(a, b) || !slices.Equal(a, first(1)) {
		t.Fatalf("seeds 1 and 2 begin with %v and %v", a, b)
	}
}

func TestOrderKeepsItsShareOfNextOnes(t *testing.T) {
	o := placement.NewOrder(1000, 7, placement.OrderLimits{Out: 4, Demand: 1})
	asked := map[int]bool{}
	ask := func() int {
		i, ok := o.Next()
		if !ok {
			t.Fatal("nothing to ask for")
		}
		asked[i] = true
		return i
	}
	next := ask()
	random := []int{ask(), ask(), ask()}
	for range 50 {
		lowest := 0
		for asked[lowest] {
			lowest++
		}
		o.Done(next)
		if next = ask(); next != lowest {
			t.Fatalf("after a next one came: asked for %d, want %d", next, lowest)
		}
	}
	o.Done(random[0])
	if i := ask(); i < next {
		t.Fatalf("asked for %d after %d", i, next)
	}
}

func TestOrderInTraceOrder(t *testing.T) {
	o := placement.NewOrder(10, 7, placement.OrderLimits{Out: 3, Demand: 3, Ahead: 5})
	o.Skip(1)
	o.Skip(1)
	o.Skip(99)
	var got []int
	for i, ok := o.Next(); ok; i, ok = o.Next() {
		got = append(got, i)
		o.Done(i)
	}
	if !slices.Equal(got, []int{0, 2, 3, 4}) {
		t.Fatalf("5 ahead of the beginning: %v", got)
	}
	o.Advance(3)
	o.Advance(1)
	o.Skip(6)
	for i, ok := o.Next(); ok; i, ok = o.Next() {
		got = append(got, i)
	}
	if !slices.Equal(got, []int{0, 2, 3, 4, 5, 7}) || o.Out() != 2 {
		t.Fatalf("5 ahead of 3: %v, %d out", got, o.Out())
	}
	if _, ok := placement.NewOrder(0, 1, placement.OrderLimits{}).Next(); ok {
		t.Fatal("an image without blocks has a next one")
	}
}

func TestOrderNarrows(t *testing.T) {
	o := placement.NewOrder(100, 7, placement.OrderLimits{Out: 8, Demand: 2})
	ask := func() {
		for _, ok := o.Next(); ok; _, ok = o.Next() {
			continue
		}
	}
	for _, tt := range []struct {
		part float64
		out  int
	}{{0.25, 2}, {0.01, 2}, {0.5, 4}, {0.5, 4}, {1, 8}, {0, 8}} {
		o.Narrow(tt.part)
		ask()
		if o.Out() != tt.out {
			t.Fatalf("%d are out at a part of %v, want %d", o.Out(), tt.part, tt.out)
		}
	}
}

func TestOrderLimitsFollowTheRate(t *testing.T) {
	for _, tt := range []struct {
		rate               uint32
		mean               int
		window, ahead, out int
	}{
		{0, 0, 61, 61, 4},
		{1000, 256 << 10, 61, 61, 4},
		{1000, 64 << 10, 128, 244, 15},
		{100, 150_000, 32, 32, 4},
		{10_000, 256 << 10, 128, 384, 16},
		{4_000_000_000, 1, 128, 384, 16},
		{1, block.MaxSize, 32, 32, 4},
	} {
		reader, owner := placement.DefaultOrder(tt.rate, tt.mean), placement.LookAhead(tt.rate, tt.mean)
		if reader.Window != tt.window || owner.Ahead != tt.ahead || owner.Out != tt.out || owner.Demand != owner.Out {
			t.Errorf("at %d Mbit/s, %d bytes: %+v, %+v", tt.rate, tt.mean, reader, owner)
		}
	}
}

// Whatever comes in whatever order, every block is asked for once, never more
// than allowed at a time, and none too far ahead.
func TestOrderModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(0, 300).Draw(rt, "blocks")
		l := placement.OrderLimits{
			Window: rapid.IntRange(1, 64).Draw(rt, "window"),
			Out:    rapid.IntRange(1, 20).Draw(rt, "out"),
			Demand: rapid.IntRange(1, 20).Draw(rt, "demand"),
			Ahead:  rapid.IntRange(0, 100).Draw(rt, "ahead"),
		}
		o := placement.NewOrder(n, rapid.Uint64().Draw(rt, "seed"), l)
		asked := make([]bool, n)
		var out []int
		frontier := 0
		for {
			for i, ok := o.Next(); ok; i, ok = o.Next() {
				if asked[i] || l.Ahead > 0 && i >= frontier+l.Ahead {
					rt.Fatalf("asked for %d again, or too far ahead of %d", i, frontier)
				}
				asked[i], out = true, append(out, i)
			}
			if len(out) > l.Out || len(out) != o.Out() {
				rt.Fatalf("%d out, it says %d", len(out), o.Out())
			}
			if len(out) == 0 {
				break
			}
			at := rapid.IntRange(0, len(out)-1).Draw(rt, "comes")
			o.Done(out[at])
			out = slices.Delete(out, at, at+1)
			for frontier < n && asked[frontier] && !slices.Contains(out, frontier) {
				frontier++
			}
			o.Advance(frontier)
		}
		if i := slices.Index(asked, false); i >= 0 {
			rt.Fatalf("never asked for %d", i)
		}
	})
}
