package evict

import (
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

func TestMain(m *testing.M) { blocktest.Main(m) }

func TestHeat(t *testing.T) {
	const size = 1 << 20
	h := NewHeat(size)
	for i := range uint32(size / heatGrain) {
		for range i % 5 {
			h.Bump(i * heatGrain)
		}
	}
	check := func(what string, want func(i uint32) uint32) {
		t.Helper()
		for i := range uint32(size / heatGrain) {
			if got := h.Level(i*heatGrain + 1); got != want(i) {
				t.Fatalf("%s: grain %d has heat %d, want %d", what, i, got, want(i))
			}
		}
	}
	check("bumped", func(i uint32) uint32 { return min(i%5, maxHeat) })
	saved := h.Encode()
	h.cool()
	check("cooled", func(i uint32) uint32 { return max(min(i%5, maxHeat), 1) - 1 })
	h.clear()
	check("cleared", func(uint32) uint32 { return 0 })
	h.Load(saved)
	check("loaded", func(i uint32) uint32 { return min(i%5, maxHeat) })
	h.Load(saved[:5]) // a saved state of another size is used as far as it goes
	h.Load(append(saved, saved...))
	h.Bump(1 << 30) // beyond the end: ignored
	if h.Level(1<<30) != 0 {
		t.Fatal("heat beyond the end")
	}
}

func ghostID(i int) block.ID { return block.Sum([]byte{byte(i), byte(i >> 8), byte(i >> 16)}) }

func TestGhostRemembersTheLatest(t *testing.T) {
	var g Ghost
	const size = 4096
	g.Resize(size)
	for i := range 4 * size {
		g.Add(ghostID(i))
	}
	young, old := 0, 0
	for i := range size / 2 {
		if g.Take(ghostID(4*size - 1 - i)) {
			young++
		}
		if g.Take(ghostID(i)) {
			old++
		}
	}
	if young < size/2*95/100 {
		t.Errorf("%d of the latest %d are remembered", young, size/2)
	}
	if old > 0 {
		t.Errorf("%d expired ids are remembered", old)
	}
	if g.Take(ghostID(4*size - 1)) {
		t.Error("an id was taken twice")
	}
	g.Add(ghostID(1))
	for range 2 {
		if !g.Remembers(ghostID(1)) || g.Remembers(ghostID(4*size-1)) {
			t.Error("asking changes what is remembered")
		}
	}
}

func TestEmptyGhost(t *testing.T) {
	var g Ghost
	if g.Take(ghostID(1)) {
		t.Error("an empty ghost remembers")
	}
	g.Add(ghostID(1))
	if !g.Take(ghostID(1)) {
		t.Error("a ghost without a size forgets at once")
	}
}

func TestSegmentSizes(t *testing.T) {
	const mib, gib = int64(1) << 20, int64(1) << 30
	for _, tt := range []struct{ capacity, want int64 }{
		{32 * mib, 1 * mib},
		{64 * mib, 1 * mib},
		{400 * mib, 10 * mib},
		{4 * gib, 64 * mib},
		{100 * gib, 64 * mib},
		{1024 * gib, 256 * mib},
		{64 * 1024 * gib, gib},
	} {
		if got := SegmentSize(tt.capacity); got != tt.want {
			t.Errorf("SegmentSize(%d MiB) = %d MiB, want %d", tt.capacity/mib, got/mib, tt.want/mib)
		}
	}
}
