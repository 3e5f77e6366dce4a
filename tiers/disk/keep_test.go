package disk

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/tiers/disk/evict"
)

// A keepSet is what a test wants kept.
type keepSet struct {
	mu  sync.Mutex
	ids map[block.ID]bool
}

func (k *keepSet) has(id block.ID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ids[id]
}

func (k *keepSet) set(blocks ...block.Block) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ids = map[block.ID]bool{}
	for _, b := range blocks {
		k.ids[b.ID()] = true
	}
}

// churn writes total bytes of blocks that nobody asks for again.
func churn(tier *Tier, total int64) {
	for seed := uint64(1 << 32); total > 0; seed++ {
		b := cheapBlock(block.DefaultPool, seed, 100<<10)
		feed(tier, b)
		total -= int64(b.Len())
		b.Release()
	}
	tier.Settle()
}

// held returns how many of the blocks the tier has, checked byte by byte.
func held(t *testing.T, tier *Tier, blocks []block.Block) (n int) {
	t.Helper()
	for _, b := range blocks {
		if tier.Has(b.ID()) {
			blocktest.CheckRead(t, tier, b, block.Disk)
			n++
		}
	}
	return n
}

// howMany returns how many of the blocks the tier has, without reading them, which
// would make them hot.
func howMany(tier *Tier, blocks []block.Block) (n int) {
	for _, b := range blocks {
		if tier.Has(b.ID()) {
			n++
		}
	}
	return n
}

// Kept blocks lie among others, take a third of the tier, are never read, and outlive
// four times its capacity of new blocks, and a restart.
func TestKeptBlocksOutliveAllOthers(t *testing.T) {
	var keep keepSet
	o := Options{Dir: t.TempDir(), Capacity: 32 * mib, FlushEvery: 10 * time.Millisecond, Kept: keep.has}
	all := blocktest.Blocks(t, 1, 300, 100<<10)
	var kept, others []block.Block
	for i, b := range all {
		if i%3 == 0 {
			kept = append(kept, b)
		} else {
			others = append(others, b)
		}
	}
	keep.set(kept...)
	tier := open(t, o)
	for _, b := range all {
		feed(tier, b)
	}
	total := 4 * o.Capacity
	churn(tier, total)
	if n := howMany(tier, kept); n != len(kept) {
		t.Errorf("%d of %d kept blocks are there", n, len(kept))
	}
	if n := howMany(tier, others); n > 0 {
		t.Errorf("%d of %d others are there, too", n, len(others))
	}
	stats := tier.Stats()
	figure.Report(t, "disk.keep.rewritten_per_new_byte", float64(stats.BytesRewritten)/float64(total), "x")
	if stats.BytesRewritten > total/4 {
		t.Errorf("%d bytes were rewritten for %d new ones: kept blocks do not gather", stats.BytesRewritten, total)
	}
	if n := diskUsage(o.Dir); n > o.Capacity {
		t.Errorf("%d bytes are on the disk, want at most %d", n, o.Capacity)
	}
	closeNow(t, tier)

	tier = open(t, o)
	churn(tier, o.Capacity)
	if n := held(t, tier, kept); n != len(kept) {
		t.Errorf("%d of %d kept blocks are there after a restart", n, len(kept))
	}
}

// Blocks that are kept no longer make room for what is read again.
func TestBlocksThatAreKeptNoLongerAreEvicted(t *testing.T) {
	var keep keepSet
	tier := open(t, Options{Dir: t.TempDir(), Capacity: 32 * mib, FlushEvery: 10 * time.Millisecond, Kept: keep.has})
	kept := blocktest.Blocks(t, 5, 100, 100<<10)
	keep.set(kept...)
	for _, b := range kept {
		feed(tier, b)
	}
	again := func() {
		for range 5 {
			churn(tier, 35*mib) // more than fits, less than the ghost remembers
		}
	}
	again()
	if n := howMany(tier, kept); n != len(kept) {
		t.Fatalf("%d of %d kept blocks are there", n, len(kept))
	}
	keep.set()
	again()
	if n := howMany(tier, kept); n > 0 {
		t.Errorf("%d of %d blocks that are kept no longer are still there", n, len(kept))
	}
}

// What it costs to keep blocks, new ones do not get: the budget is overdrawn by what
// one reclaim rewrites, and no kept block is lost by it.
func TestKeptBlocksCostTheWriteBudgetAndAreNotLostByIt(t *testing.T) {
	var keep keepSet
	var clock atomic.Int64
	start := time.Now()
	o := Options{
		Dir: t.TempDir(), Capacity: 32 * mib, FlushEvery: 10 * time.Millisecond, Kept: keep.has,
		WriteBudgetPerDay: 24 * 64 * mib, now: func() time.Time { return start.Add(time.Duration(clock.Load())) },
	}
	all := blocktest.Blocks(t, 2, 300, 100<<10)
	kept := all[:0:0]
	for i := 0; i < len(all); i += 3 {
		kept = append(kept, all[i])
	}
	keep.set(kept...)
	tier := open(t, o)
	for _, b := range all {
		feed(tier, b)
	}
	spent := func() int64 { tier.Settle(); return tier.Stats().BytesWritten }
	for hour := range 2 {
		was := spent()
		churn(tier, 4*o.Capacity) // far more than an hour's share
		wrote := spent() - was
		if limit := 64*mib + 2*evict.SegmentSize(o.Capacity) + DefaultQueueBytes; wrote > limit {
			t.Errorf("in hour %d it wrote %d bytes, want at most %d", hour, wrote, limit)
		}
		clock.Add(int64(time.Hour))
	}
	if tier.Stats().DeclinedBudget == 0 {
		t.Error("the budget never was spent")
	}
	if n := held(t, tier, kept); n != len(kept) {
		t.Errorf("%d of %d kept blocks are there", n, len(kept))
	}
}

// When everything is to be kept, the bounds hold and new blocks are taken.
func TestTheBoundsHoldThoughTooMuchIsKept(t *testing.T) {
	o := Options{Dir: t.TempDir(), Capacity: 32 * mib, FlushEvery: 10 * time.Millisecond, Kept: func(block.ID) bool { return true }}
	tier := open(t, o)
	churn(tier, 3*o.Capacity)
	last := blocktest.Blocks(t, 3, 1, 100<<10)
	write(t, tier, last...)
	tier.Settle()
	if held(t, tier, last) != 1 {
		t.Error("a new block is not taken")
	}
	if n := diskUsage(o.Dir); n > o.Capacity {
		t.Errorf("%d bytes are on the disk, want at most %d", n, o.Capacity)
	}
}

// Others fill the disk: what is to be kept goes last, and goes in the end.
func TestKeptBlocksGoLastWhenOthersTakeTheDisk(t *testing.T) {
	var keep keepSet
	var taken atomic.Int64
	o := Options{
		Dir: t.TempDir(), Capacity: 32 * mib, MinFree: mib, FlushEvery: 10 * time.Millisecond, Kept: keep.has,
		files: crowdedDisk{total: 64 * mib, taken: &taken},
	}
	tier := open(t, o)
	kept := blocktest.Blocks(t, 4, 50, 100<<10)
	keep.set(kept...)
	for _, b := range kept {
		feed(tier, b)
	}
	tier.Settle()
	churn(tier, o.Capacity)
	taken.Store(47 * mib)
	waitUntil(t, func() bool { return tier.Used() <= 16*mib })
	if n := held(t, tier, kept); n != len(kept) {
		t.Errorf("%d of %d kept blocks are there while there is room for them", n, len(kept))
	}
	taken.Store(62 * mib)
	waitUntil(t, func() bool { return howMany(tier, kept) == 0 }) // one that is read may go meanwhile
}

// A crowdedDisk is a small one of which others take a part.
type crowdedDisk struct {
	osFiles
	total int64
	taken *atomic.Int64
}

func (d crowdedDisk) Free(dir string) (int64, error) {
	return d.total - d.taken.Load() - diskUsage(dir), nil
}

func waitUntil(t *testing.T, so func() bool) {
	t.Helper()
	for late := time.After(20 * time.Second); !so(); {
		select {
		case <-late:
			t.Fatal("it never is so")
		case <-time.After(5 * time.Millisecond):
		}
	}
}
