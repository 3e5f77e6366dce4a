package memory

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
)

const benchBlocks = 1024

func filled(tb testing.TB) *Tier {
	m := open(tb, 64<<20)
	pool := block.NewPool(0)
	for i := range uint64(benchBlocks) {
		b := named(pool, i, 4096)
		write(tb, m, b)
		b.Release()
	}
	return m
}

func TestReadAllocatesNothing(t *testing.T) {
	if block.Live() >= 0 {
		t.Skip("builds with -tags invariants record the stack of every reference")
	}
	m := filled(t)
	ctx := context.Background()
	i := uint64(0)
	if got := testing.AllocsPerRun(10_000, func() {
		b, err := m.ReadBlock(ctx, idOf(i%benchBlocks))
		if err != nil {
			t.Fatal(err)
		}
		b.Release()
		i++
	}); got >= 1 {
		t.Errorf("%g allocations a read", got)
	}
}

func BenchmarkRead(b *testing.B) {
	m := filled(b)
	ctx := context.Background()
	b.ReportAllocs()
	i := uint64(0)
	for b.Loop() {
		got, err := m.ReadBlock(ctx, idOf(i%benchBlocks))
		if err != nil {
			b.Fatal(err)
		}
		got.Release()
		i++
	}
	figure.Report(b, "memory.read", float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns")
}

func BenchmarkReadParallel(b *testing.B) {
	m := filled(b)
	ctx := context.Background()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := rand.Uint64N(benchBlocks); pb.Next(); i++ {
			got, err := m.ReadBlock(ctx, idOf(i%benchBlocks))
			if err != nil {
				b.Fatal(err)
			}
			got.Release()
		}
	})
}

// BenchmarkReadHotBlock has every core read one block: the worst case for its
// reference count.
func BenchmarkReadHotBlock(b *testing.B) {
	m := filled(b)
	ctx := context.Background()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			got, err := m.ReadBlock(ctx, idOf(7))
			if err != nil {
				b.Fatal(err)
			}
			got.Release()
		}
	})
}

// BenchmarkWriteChurn writes new blocks into a full tier: the price of a fill
// including the wait for ristretto's decision and the eviction.
func BenchmarkWriteChurn(b *testing.B) {
	for _, bm := range []struct {
		name string
		size int
	}{{"4KiB", 4 << 10}, {"256KiB", 256 << 10}} {
		b.Run(bm.name, func(b *testing.B) {
			m := open(b, 64<<20)
			pool := block.NewPool(block.DefaultIdle)
			b.SetBytes(int64(bm.size))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for n := rand.Uint64(); pb.Next(); n++ {
					blk := named(pool, n, bm.size)
					write(b, m, blk)
					blk.Release()
				}
			})
		})
	}
}
