package memory

import (
	"math/rand/v2"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
)

// A tier that holds a quarter of a Zipf workload's blocks settles at a hit rate,
// comes back to it when the workload changes to other blocks altogether, and
// does not lose it to scans of blocks nobody reads again.
func TestHitRateFollowsTheWorkload(t *testing.T) {
	if figure.Instrumented {
		t.Skip("measured without instrumentation")
	}
	const held, keys, rounds, reads = 256, 1000, 4, 1000
	pool := block.NewPool(block.DefaultIdle)
	m := open(t, held*meanBlock)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	zipf := rand.NewZipf(rand.New(rand.NewPCG(seed, 0)), 1.1, 8, keys-1)
	readThrough := func(key uint64) int {
		if holds(t, m, idOf(key)) {
			return 1
		}
		b := named(pool, key, meanBlock)
		write(t, m, b)
		b.Release()
		return 0
	}
	scanned := uint64(1 << 32)
	phase := func(first uint64, scan int) float64 {
		hits := 0
		for range rounds {
			hits = 0 // the last round counts
			for range reads {
				hits += readThrough(first + zipf.Uint64())
			}
			for range scan {
				scanned++
				readThrough(scanned)
			}
		}
		return float64(hits) / reads
	}
	first := phase(0, 0)
	shifted := phase(1<<20, 0)
	scans := phase(1<<20, held)
	// The best 256 blocks make 0.77 of the reads. A busy machine makes ristretto
	// drop some of the reads it learns from: hence the wide margin.
	if first < 0.5 || shifted < 0.45 || scans < 0.4 {
		t.Errorf("hit rates: %.2f at first, %.2f after a change, %.2f with scans", first, shifted, scans)
	}
	figure.Report(t, "memory.workload.hit_ratio", first, "ratio")
	figure.Report(t, "memory.workload.changed.hit_ratio", shifted, "ratio")
	figure.Report(t, "memory.workload.scanned.hit_ratio", scans, "ratio")
}
