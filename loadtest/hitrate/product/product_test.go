package product

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/loadtest/hitrate/policy"
	"github.com/zonecache/cached/tiers/disk"
)

func TestMain(m *testing.M) { blocktest.Main(m) }

const (
	kib = int64(1) << 10
	mib = int64(1) << 20
)

// asks is objects by Zipf's law with scans between them, and sizes of whole pages.
func asks(seed uint64, n, objects int) (ids []uint64) {
	rng := rand.New(rand.NewPCG(seed, 5))
	zipf := rand.NewZipf(rng, 1.05, 16, uint64(objects-1))
	scan := uint64(objects)
	for len(ids) < n {
		ids = append(ids, zipf.Uint64())
		if len(ids)/(n/4)%2 == 1 { // a scan, while the others go on
			ids = append(ids, scan)
			scan++
		}
	}
	return ids
}

func sizeOf(id uint64) int64 { return (1 + int64(mixed(id)%31)) * 4 * kib }

func TestIDsAreNumbers(t *testing.T) {
	for _, n := range []uint64{0, 1, 1 << 40, math.MaxUint64} {
		if got := Number(ID(n)); got != n {
			t.Errorf("%d became %d", n, got)
		}
	}
}

// The model keeps what the disk tier keeps: access by access, but for the few that
// hang on how large the index is at the moment.
func TestL2BesideTheTier(t *testing.T) {
	if figure.Instrumented {
		t.Skip("thousands of commits, each with its syncs")
	}
	const capacity = 40 * 1 << 20
	tier, err := disk.Open(disk.Options{Dir: t.TempDir(), Capacity: capacity})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := tier.Close(); err != nil {
			t.Error(err)
		}
	}()
	model := NewL2(capacity)
	pool := block.NewPool(block.DefaultIdle)
	names := map[uint64]block.ID{}
	count, ours, theirs, differ := 0, 0, 0, 0
	for _, id := range asks(1, 3_000, 1_200) {
		name, known := names[id]
		hit := false
		if known {
			b, err := tier.ReadBlock(context.Background(), name)
			if hit = err == nil; hit {
				b.Release()
			}
		}
		if !hit {
			buf := pool.Get(int(sizeOf(id)))
			clear(buf.Bytes())
			for i := range 8 {
				buf.Bytes()[i] = byte(id >> (8 * i))
			}
			name = block.Sum(buf.Bytes())
			names[id] = name
			b := buf.Seal(name, block.Origin)
			if err := tier.WriteBlock(context.Background(), b); err != nil {
				t.Fatal(err)
			}
			b.Release()
			tier.Settle()
		}
		got := model.Access(id, sizeOf(id))
		count++
		if got {
			ours++
		}
		if hit {
			theirs++
		}
		if got != hit {
			differ++
		}
	}
	rate := func(n int) float64 { return float64(n) / float64(count) }
	written, again := model.Written()
	t.Logf("hit rate %.4f, of the tier %.4f; %d of %d differ; rewritten %d of %d, the tier %d of %d", rate(ours), rate(theirs), differ, count,
		again, written, tier.BytesRewritten(), tier.BytesWritten())
	if math.Abs(rate(ours)-rate(theirs)) > 0.01 || rate(differ) > 0.05 {
		t.Errorf("hit rates %.4f and %.4f, %d of %d accesses differ", rate(ours), rate(theirs), differ, count)
	}
	figure.Report(t, "hitrate.l2_model.differs", math.Abs(rate(ours)-rate(theirs)), "hits/read")
}

// The model of L1 has the tier's hit rate.
func TestL1ModelBesideTheTier(t *testing.T) {
	if figure.Instrumented {
		t.Skip("measured without instrumentation")
	}
	for _, capacity := range []int64{4 * mib, 16 * mib, 64 * mib} {
		tier, err := NewL1(capacity)
		if err != nil {
			t.Fatal(err)
		}
		model, better := NewL1Model(capacity, 1), NewL1Model(capacity, 1)
		counters := max(capacity/meanBlock*countersPerItem, minCounters)
		better.sketch = policy.NewSketch(4, counters, counters)
		count, ours, theirs, betters := 0, 0, 0, 0
		for _, id := range asks(2, 60_000, 2_000) {
			if model.Access(id, sizeOf(id)) {
				ours++
			}
			if tier.Access(id, sizeOf(id)) {
				theirs++
			}
			if better.Access(id, sizeOf(id)) {
				betters++
			}
			count++
			if model.used > capacity || model.mainUsed+model.windowBytes != model.used {
				t.Fatalf("%d bytes of %d: %d in main, %d in the window", model.used, capacity, model.mainUsed, model.windowBytes)
			}
		}
		if err := tier.Close(); err != nil {
			t.Error(err)
		}
		a, b := float64(ours)/float64(count), float64(theirs)/float64(count)
		t.Logf("%d MiB: hit rate %.4f, of the tier %.4f; with rows that collide apart %.4f", capacity/mib, a, b, float64(betters)/float64(count))
		// The tier drops some of what it would learn from when the machine is busy.
		if math.Abs(a-b) > 0.025 {
			t.Errorf("%d MiB: hit rate %.4f, of the tier %.4f", capacity/mib, a, b)
		}
	}
}

func TestMemorySizes(t *testing.T) {
	pool := block.NewPool(0)
	for _, n := range []int{1, 4096, 4097, 100_000, 256 << 10, block.MaxSize} {
		b := pool.Get(n).Seal(block.ID{}, block.Origin)
		if got := memorySize(int64(n)); got != int64(b.MemorySize()) {
			t.Errorf("%d bytes occupy %d, want %d", n, got, b.MemorySize())
		}
		b.Release()
	}
}

// What is larger than a block or a tier is a miss and changes nothing.
func TestWhatDoesNotFit(t *testing.T) {
	l1, err := NewL1(mib)
	if err != nil {
		t.Fatal(err)
	}
	defer l1.Close()
	for _, c := range []interface{ Access(uint64, int64) bool }{l1, NewL1Model(mib, 1), NewL2(disk.MinCapacity)} {
		for range 3 {
			if c.Access(1, block.MaxSize+1) {
				t.Errorf("%T holds a block larger than any", c)
			}
		}
	}
	off, err := NewL1(-1)
	if err == nil {
		t.Errorf("a tier of -1 bytes was opened: %v", off)
	}
}
