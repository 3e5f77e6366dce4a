package disk

import (
	"testing"

	"github.com/zonecache/cached/block"
)

func TestHeat(t *testing.T) {
	const size = 1 << 20
	h := newHeat(size)
	for i := range uint32(size / heatGrain) {
		for range i % 5 {
			h.bump(i * heatGrain)
		}
	}
	check := func(what string, want func(i uint32) uint32) {
		t.Helper()
		for i := range uint32(size / heatGrain) {
			if got := h.level(i*heatGrain + 1); got != want(i) {
				t.Fatalf("%s: grain %d has heat %d, want %d", what, i, got, want(i))
			}
		}
	}
	check("bumped", func(i uint32) uint32 { return min(i%5, maxHeat) })
	saved := h.encode()
	h.cool()
	check("cooled", func(i uint32) uint32 { return max(min(i%5, maxHeat), 1) - 1 })
	h.clear()
	check("cleared", func(uint32) uint32 { return 0 })
	h.load(saved)
	check("loaded", func(i uint32) uint32 { return min(i%5, maxHeat) })
	h.load(saved[:5]) // a saved state of another size is used as far as it goes
	h.load(append(saved, saved...))
	h.bump(1 << 30) // beyond the end: ignored
	if h.level(1<<30) != 0 {
		t.Fatal("heat beyond the end")
	}
}

func ghostID(i int) block.ID { return block.Sum([]byte{byte(i), byte(i >> 8), byte(i >> 16)}) }

func TestGhostRemembersTheLatest(t *testing.T) {
	var g ghost
	const size = 4096
	g.resize(size)
	for i := range 4 * size {
		g.add(ghostID(i))
	}
	young, old := 0, 0
	for i := range size / 2 {
		if g.take(ghostID(4*size - 1 - i)) {
			young++
		}
		if g.take(ghostID(i)) {
			old++
		}
	}
	if young < size/2*95/100 {
		t.Errorf("%d of the latest %d are remembered", young, size/2)
	}
	if old > 0 {
		t.Errorf("%d expired ids are remembered", old)
	}
	if g.take(ghostID(4*size - 1)) {
		t.Error("an id was taken twice")
	}
	g.add(ghostID(1))
	for range 2 {
		if !g.remembers(ghostID(1)) || g.remembers(ghostID(4*size-1)) {
			t.Error("asking changes what is remembered")
		}
	}
}

func TestEmptyGhost(t *testing.T) {
	var g ghost
	if g.take(ghostID(1)) {
		t.Error("an empty ghost remembers")
	}
	g.add(ghostID(1))
	if !g.take(ghostID(1)) {
		t.Error("a ghost without a size forgets at once")
	}
}

func TestSegmentSizes(t *testing.T) {
	for _, tt := range []struct{ capacity, want int64 }{
		{MinCapacity, 1 * mib},
		{64 * mib, 1 * mib},
		{400 * mib, 10 * mib},
		{4 * gib, 64 * mib},
		{100 * gib, 64 * mib},
		{1024 * gib, 256 * mib},
		{64 * 1024 * gib, gib},
	} {
		if got := segmentSize(tt.capacity); got != tt.want {
			t.Errorf("segmentSize(%d MiB) = %d MiB, want %d", tt.capacity/mib, got/mib, tt.want/mib)
		}
	}
}
