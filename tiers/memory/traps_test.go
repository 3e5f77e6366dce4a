package memory

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// Each test here is named after what ristretto shows when it is used as if it
// were a map.

// Set is asynchronous: Set then Get at once misses.
func TestReadAfterWriteHits(t *testing.T) {
	pool := block.NewPool(0)
	m := open(t, 64<<20)
	for i := range uint64(1000) {
		b := named(pool, i, 10_000)
		write(t, m, b)
		b.Release()
		if !holds(t, m, idOf(i)) {
			t.Fatalf("block %d: written, not refused, not readable", i)
		}
	}
	if m.Declines() != 0 {
		t.Fatalf("%d declines", m.Declines())
	}
}

// Of a burst of Sets most are dropped, without a callback: the reference leaks.
func TestBurstOfWritesLosesNoReference(t *testing.T) {
	pool := block.NewPool(0)
	m := open(t, 256<<20)
	const writers, each = 8, 500
	var wg sync.WaitGroup
	for w := range uint64(writers) {
		wg.Go(func() {
			for i := range uint64(each) {
				b := named(pool, w*each+i, 5_000)
				write(t, m, b)
				b.Release()
			}
		})
	}
	wg.Wait()
	if got := pool.InUse(); got != m.Used() {
		t.Fatalf("%d bytes in use, %d accounted for", got, m.Used())
	}
	if m.Declines() != 0 {
		t.Fatalf("%d of %d blocks declined by a tier with room for all", m.Declines(), writers*each)
	}
	m.Close()
	if got := pool.InUse(); got != 0 {
		t.Fatalf("%d bytes leaked", got)
	}
}

// A dropped Set gives the reference back, and only once.
func TestDroppedSetIsReleased(t *testing.T) {
	pool := block.NewPool(0)
	m := open(t, 8<<20)
	m.cache.Close() // from now on every Set is dropped
	b := named(pool, 1, 1000)
	m.used.Add(int64(b.MemorySize()))
	m.offer(keyOf(b.ID()), m.census.enter(b.Retain()))
	if m.Used() != 0 || m.Evictions() != 1 {
		t.Fatalf("%d used, %d evictions", m.Used(), m.Evictions())
	}
	b.Release()
	if pool.InUse() != 0 {
		t.Fatal("the dropped block leaked")
	}
}

// The queue of 32 Ki Sets would hold 16 GiB of blocks of 512 KiB.
func TestBlocksOnTheirWayInAreBounded(t *testing.T) {
	m := open(t, 64<<20)
	const size = 1 << 20
	for n := int64(size); n <= m.offering; n += size {
		if !m.reserve(size) {
			t.Fatalf("declined with %d of %d bytes on their way", n-size, m.offering)
		}
	}
	b := blocktest.Block(1, size)
	defer b.Release()
	write(t, m, b)
	if holds(t, m, b.ID()) || m.Declines() != 1 {
		t.Fatalf("kept a block beyond %d bytes on their way, %d declines", m.offering, m.Declines())
	}
	m.offered.Store(0)
	write(t, m, b)
	if !holds(t, m, b.ID()) {
		t.Fatal("declined with nothing on its way")
	}
	if got := m.offered.Load(); got != 0 {
		t.Fatalf("%d bytes still on their way", got)
	}
}

func TestSmallTierTakesOneLargeBlock(t *testing.T) {
	m := open(t, 1<<20)
	b := blocktest.Block(1, 900_000)
	defer b.Release()
	write(t, m, b)
	blocktest.CheckRead(t, m, b, block.Memory)
}

// Get does not pin: what it returns may be released, and its memory another's,
// before the caller retains it.
func TestEvictionDuringReadIsAMissNotAnotherBlock(t *testing.T) {
	pool := block.NewPool(1 << 20)
	m := open(t, 128<<10) // a handful of blocks, evicted all the time
	const keys = 64
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 2000 {
				b := named(pool, rand.Uint64N(keys), 10_000)
				write(t, m, b)
				b.Release()
			}
		})
	}
	for range 4 {
		wg.Go(func() {
			for range 5_000 {
				k := rand.Uint64N(keys)
				b, err := m.ReadBlock(context.Background(), idOf(k))
				if err != nil {
					continue
				}
				if p := b.Bytes(); b.ID() != idOf(k) || p[0] != byte(k) || p[len(p)-1] != byte(k) {
					t.Errorf("asked for %d, got %d with byte %d", k, b.ID()[24], p[0])
				}
				b.Release()
			}
		})
	}
	wg.Wait()
}

// Evictions of keys that are gone reach OnExit as the zero value.
func TestExitOfNothingIsHarmless(t *testing.T) {
	m := open(t, 1<<20)
	m.exit(entry{})
	m.cache.Del(12345)
	m.cache.Wait()
	if m.Used() != 0 {
		t.Fatalf("used %d", m.Used())
	}
}

// Refusal runs OnReject and OnExit, eviction OnEvict and OnExit: releasing in
// both frees a block that is still being read.
func TestRefusedAndEvictedBlocksAreReleasedOnce(t *testing.T) {
	pool := block.NewPool(0)
	m := open(t, 1<<20)
	for i := range uint64(100) {
		b := named(pool, i, 50_000)
		write(t, m, b)
		if _, ok := b.TryRetain(); !ok {
			t.Fatalf("block %d: the writer's reference is gone", i)
		}
		b.Release()
		b.Release()
		if pool.InUse() != m.Used() {
			t.Fatalf("block %d: %d in use, %d accounted for", i, pool.InUse(), m.Used())
		}
	}
	evictions, used := m.Evictions(), m.Used()
	refused := named(pool, 1000, 900_000) // more than ristretto may hold
	m.used.Add(int64(refused.MemorySize()))
	m.offer(keyOf(refused.ID()), m.census.enter(refused.Retain()))
	if m.Evictions() != evictions+1 || evictions == 0 || m.Declines() != 0 {
		t.Fatalf("%d, then %d evictions, %d declines", evictions, m.Evictions(), m.Declines())
	}
	if _, ok := refused.TryRetain(); !ok {
		t.Fatal("the refused block was released twice")
	}
	refused.Release()
	refused.Release()
	if pool.InUse() != used {
		t.Fatalf("%d in use, want %d", pool.InUse(), used)
	}
}

// The doc of ristretto asks for ten counters an item; too few and every
// newcomer looks as frequent as the hottest block.
func TestCountersCoverTenTimesTheBlocks(t *testing.T) {
	for _, capacity := range []int64{1, 1 << 20, 256 << 20, 64 << 30} {
		if got, items := countersFor(capacity), capacity/meanBlock; got < 10*items || got < minCounters {
			t.Errorf("capacity %d: %d counters for %d blocks", capacity, got, items)
		}
	}
}

// ristretto knows a block by one word of its id. A block that shares the word
// must neither be served for the other nor change what the other is charged.
func TestBlocksWithTheSameKeyAreNotConfused(t *testing.T) {
	pool := block.NewPool(0)
	m := open(t, 8<<20)
	first, second := idOf(1), idOf(1)
	second[31] = 0xff
	a := pool.Get(100_000).Seal(first, block.Origin)
	b := pool.Get(1000).Seal(second, block.Origin)
	defer a.Release()
	defer b.Release()
	write(t, m, a)
	write(t, m, b)
	blocktest.CheckRead(t, m, a, block.Memory)
	blocktest.CheckError(t, m, second, block.ErrNotFound)
	if m.Used() != int64(a.MemorySize()) {
		t.Fatalf("%d bytes used, the block occupies %d", m.Used(), a.MemorySize())
	}
	var zero block.ID
	binary.LittleEndian.PutUint64(zero[8:], 1)
	blocktest.CheckError(t, m, zero, block.ErrNotFound)
}

// A Set of a present key would charge the old block the size of the new one.
func TestWritingAHeldBlockKeepsTheBooks(t *testing.T) {
	pool := block.NewPool(0)
	m := open(t, 64<<20)
	exact := pool.Get(5000).Seal(idOf(1), block.Origin)
	defer exact.Release()
	write(t, m, exact)
	emptyWindow(m)
	var wg sync.WaitGroup
	for w := range uint64(8) {
		wg.Go(func() {
			for i := range uint64(200) {
				buf := pool.Get(50_000) // the same blocks, in sectors read from a disk
				buf.Slice(512, 5000)
				b := buf.Seal(idOf((w+i)%50), block.Disk)
				write(t, m, b)
				b.Release()
			}
		})
	}
	wg.Wait()
	charged := m.Capacity() - m.window.limit - m.cache.RemainingCost()
	if m.Used() != charged+m.window.bytes || m.Used() != pool.InUse() {
		t.Fatalf("ristretto charges %d, the window %d, the tier counts %d, the pool says %d", charged, m.window.bytes, m.Used(), pool.InUse())
	}
	if charged == 0 || m.window.bytes == 0 {
		t.Fatalf("%d bytes in ristretto, %d in the window", charged, m.window.bytes)
	}
	got, err := m.ReadBlock(context.Background(), idOf(1))
	if err != nil || got.MemorySize() != exact.MemorySize() {
		t.Fatalf("the held block was replaced: %v", err)
	}
	got.Release()
	if m.Declines() != 0 {
		t.Fatalf("%d declines: an offer of a held block is not one", m.Declines())
	}
}

// TinyLFU must not refuse while there is room.
func TestEverythingIsKeptUntilTheTierIsFull(t *testing.T) {
	pool := block.NewPool(0)
	m := open(t, 16<<20)
	var sizes int64
	var n uint64
	for {
		b := named(pool, n, 1+rand.IntN(block.MaxSize-1))
		size := int64(b.MemorySize())
		if sizes+size > m.Capacity() {
			b.Release()
			break
		}
		write(t, m, b)
		b.Release()
		sizes += size
		n++
	}
	for i := range n {
		if !holds(t, m, idOf(i)) {
			t.Fatalf("block %d of %d is not held although %d of %d bytes are used", i, n, m.Used(), m.Capacity())
		}
	}
	if m.Used() != sizes {
		t.Fatalf("%d used, %d written", m.Used(), sizes)
	}
}

func TestBlockLargerThanTheTierIsDeclined(t *testing.T) {
	m := open(t, 64<<10)
	b := blocktest.Block(1, 100_000)
	defer b.Release()
	write(t, m, b)
	if holds(t, m, b.ID()) || m.Used() != 0 || m.Declines() != 1 {
		t.Fatalf("used %d, %d declines", m.Used(), m.Declines())
	}
}

// emptyWindow moves what the window has on to ristretto, as if the tier were full.
func emptyWindow(m *Tier) {
	limit := m.window.limit
	m.window.limit = -1
	for {
		b, ok := m.window.pop(func() bool { return len(m.window.queue) > m.window.head })
		if !ok {
			m.window.limit = limit
			return
		}
		m.moveOn(b)
	}
}

// A block that was never read is here when its reader comes, however popular what
// it takes the room of: it was fetched ahead, or a peer was told to fetch it here.
func TestNewBlocksStayAWhileInAFullTier(t *testing.T) {
	pool := block.NewPool(0)
	m := open(t, 8<<20)
	for round := range 5 {
		for i := range uint64(100) {
			b := named(pool, i, 80_000)
			if round == 0 {
				write(t, m, b)
			} else {
				holds(t, m, b.ID())
			}
			b.Release()
		}
	}
	ahead := m.window.limit / 90_000
	for i := range uint64(ahead) {
		b := named(pool, 1000+i, 80_000)
		write(t, m, b)
		b.Release()
	}
	for i := range uint64(ahead) {
		if !holds(t, m, idOf(1000+i)) {
			t.Errorf("block %d of %d read ahead is gone", i, ahead)
		}
	}
}
