package account

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/figure"
)

// hit is the quickest reader there can be.
type hit struct{ b block.Block }

func (h hit) ReadBlock(context.Context, block.ID) (block.Block, error) { return h.b, nil }

func hits(tb testing.TB) (plain, counted block.Reader, ctx context.Context, id block.ID) {
	b := blocktest.Block(1, 100).WithFrom(block.Memory)
	tb.Cleanup(b.Release)
	plain = hit{b}
	return plain, New(Options{}).Requests(plain), call("flask:v1", block.Demand), b.ID()
}

func TestRequestAllocatesNothing(t *testing.T) {
	_, counted, ctx, id := hits(t)
	if got := testing.AllocsPerRun(1000, func() {
		if _, err := counted.ReadBlock(ctx, id); err != nil {
			t.Fatal(err)
		}
	}); got >= 1 {
		t.Errorf("%g allocations a request", got)
	}
}

// BenchmarkRequest measures what counting adds to a memory hit: the median
// difference of interleaved rounds with and without it.
func BenchmarkRequest(b *testing.B) {
	plain, counted, ctx, id := hits(b)
	const each = 1000
	var cost []float64
	round := func(r block.Reader) time.Duration {
		began := time.Now()
		for range each {
			if _, err := r.ReadBlock(ctx, id); err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(began)
	}
	for b.Loop() {
		without := round(plain)
		cost = append(cost, float64((round(counted)-without).Nanoseconds())/each)
	}
	slices.Sort(cost)
	figure.Report(b, "account.request", cost[len(cost)/2], "ns")
}

func BenchmarkRequestParallel(b *testing.B) {
	_, counted, ctx, id := hits(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := counted.ReadBlock(ctx, id); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSnapshot(b *testing.B) {
	_, counted, ctx, id := hits(b)
	if _, err := counted.ReadBlock(ctx, id); err != nil {
		b.Fatal(err)
	}
	l := counted.(*requests).ledger
	for b.Loop() {
		l.Snapshot()
	}
}
