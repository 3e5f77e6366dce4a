package access

import (
	"context"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
)

// nothing is a reader whose time does not count.
var nothing = block.ReaderFunc(func(context.Context, block.ID) (block.Block, error) { return block.Block{}, block.ErrNotFound })

func benchmarkScene(t testing.TB) (*Checker, []block.ID, block.ID) {
	x := newIndex()
	ids := make([]block.ID, 4096) // 1 GiB
	for i := range ids {
		ids[i] = idOf(uint64(i))
	}
	m := x.publish("shop-1", ids...)
	policy := newPolicy(t, twoTenants...)
	c, err := Check(nothing, Options{Policy: func() *Policy { return policy }, Images: x})
	if err != nil {
		t.Fatal(err)
	}
	return c, ids, m
}

func TestAKnownImageCostsNoAllocation(t *testing.T) {
	c, ids, m := benchmarkScene(t)
	for _, image := range []string{"shop-1", m.String()} {
		ctx := block.WithCall(t.Context(), block.Call{Tenant: "shop", Image: image})
		_, _ = c.ReadBlock(ctx, ids[0])
		if n := testing.AllocsPerRun(100, func() { _, _ = c.ReadBlock(ctx, ids[1]) }); n > 0 {
			t.Errorf("%s: %v allocations", image, n)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	c, ids, m := benchmarkScene(b)
	for _, image := range []string{"shop-1", m.String()} {
		by := "name"
		if image == m.String() {
			by = "id"
		}
		b.Run(by, func(b *testing.B) {
			ctx := block.WithCall(b.Context(), block.Call{Tenant: "shop", Image: image})
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				_, _ = c.ReadBlock(ctx, ids[i%len(ids)])
			}
			figure.Report(b, "access.check_"+by, float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns")
		})
	}
}
