package policy

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hits returns which of the accesses, of objects of one byte, hit.
func hits(c Cache, ids ...uint64) (hit []int) {
	for i, id := range ids {
		if c.Access(id, 1) {
			hit = append(hit, i)
		}
	}
	return hit
}

// mix is objects by a law like Zipf's with scans between them.
func mix(seed uint64, n, objects int) (ids []uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	zipf := rand.NewZipf(rng, 1.1, 4, uint64(objects-1))
	for scan := uint64(objects); len(ids) < n; {
		ids = append(ids, zipf.Uint64())
		if len(ids)%(n/4) == 0 {
			for range objects / 2 {
				ids = append(ids, scan)
				scan++
			}
		}
	}
	return ids
}

// The models do what the papers' rules give by hand for short sequences.
func TestKnownSequences(t *testing.T) {
	for _, tt := range []struct {
		name  string
		cache Cache
		ids   []uint64
		want  []int
	}{
		{"LRU", NewLRU(3), []uint64{1, 2, 3, 1, 4, 2, 1, 3}, []int{3, 6}},
		// A1in holds one object beside what is in Am: 1 falls into A1out, comes back into Am
		// and survives the scan; 2 fell out of A1out's two names.
		{"2Q", NewTwoQ(4), []uint64{1, 2, 3, 4, 5, 1, 6, 7, 8, 1, 2}, []int{9}},
		// 1 is used twice in the small FIFO and goes on to the main one when it would fall
		// out; 2, used once, goes to the ghost, and from there to the main one.
		{"S3-FIFO", NewS3FIFO(10), []uint64{1, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 1, 2, 2}, []int{1, 2, 4, 16, 18}},
		// Everything that was read often stays through a scan of what is read once.
		{"W-TinyLFU", NewWTinyLFU(4, 1), []uint64{1, 2, 3, 1, 2, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3}, []int{3, 4, 5, 6, 7, 8, 15, 16, 17}},
		{"Belady", NewBelady(2, NextUses([]uint64{1, 2, 3, 1, 2, 3, 1, 2, 3})), []uint64{1, 2, 3, 1, 2, 3, 1, 2, 3}, []int{3, 4, 6, 7}},
		{"everything", NewCompulsory(), []uint64{1, 2, 1, 2, 3, 3}, []int{2, 3, 5}},
	} {
		if got := hits(tt.cache, tt.ids...); !slices.Equal(got, tt.want) {
			t.Errorf("%s: accesses %v hit, want %v", tt.name, got, tt.want)
		}
	}
}

// The LRU has the very hits of a library's.
func TestLRUBesideLibrary(t *testing.T) {
	const room = 50
	lib, err := simplelru.NewLRU[uint64, struct{}](room, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := NewLRU(room)
	for i, id := range mix(1, 20_000, 400) {
		_, want := lib.Get(id)
		lib.Add(id, struct{}{})
		if got := c.Access(id, 1); got != want {
			t.Fatalf("access %d: %v, the library's %v", i, got, want)
		}
	}
}

// most returns the most hits that any choice of what to keep has.
func most(ids []uint64, room int, held []uint64) int {
	if len(ids) == 0 {
		return 0
	}
	id, rest := ids[0], ids[1:]
	if slices.Contains(held, id) {
		return 1 + most(rest, room, held)
	}
	best := most(rest, room, held)
	if len(held) < room {
		return max(best, most(rest, room, append(slices.Clone(held), id)))
	}
	for i := range held {
		next := slices.Clone(held)
		next[i] = id
		best = max(best, most(rest, room, next))
	}
	return best
}

// Where all objects have one size, nothing has more hits than Belady.
func TestBeladyIsOptimal(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 2))
		ids := make([]uint64, 12)
		for i := range ids {
			ids[i] = rng.Uint64N(6)
		}
		room := 1 + rng.IntN(3)
		got := len(hits(NewBelady(int64(room), NextUses(ids)), ids...))
		if want := most(ids, room, nil); got != want {
			t.Fatalf("seed %d: %v with room for %d: %d hits, %d are possible", seed, ids, room, got, want)
		}
	}
}

// kept returns the bytes that a cache holds by its own books.
func kept(c Cache) int64 {
	switch c := c.(type) {
	case *LRU:
		return c.order.bytes
	case *TwoQ:
		return c.in.bytes + c.main.bytes
	case *S3FIFO:
		return c.small.bytes + c.main.bytes
	case *WTinyLFU:
		return c.window.bytes + c.probation.bytes + c.protected.bytes
	case *Belady:
		return c.used
	}
	return 0
}

// Objects of all sizes: no cache exceeds its bytes, an object larger than the cache is
// never held, and each policy does no better than a cache with room for all.
func TestBytesAreBounded(t *testing.T) {
	const capacity = 1000
	ids := mix(3, 20_000, 300)
	size := func(id uint64) int64 { return 1 + int64(hash(id, 9)%100) }
	ids = append(ids, 1<<40, 1<<40)
	all, best := NewCompulsory(), 0
	for _, id := range ids {
		if all.Access(id, 1) {
			best++
		}
	}
	for name, c := range map[string]Cache{
		"LRU": NewLRU(capacity), "2Q": NewTwoQ(capacity), "S3-FIFO": NewS3FIFO(capacity),
		"W-TinyLFU": NewWTinyLFU(capacity, 50), "Belady": NewBelady(capacity, NextUses(ids)),
	} {
		count, least := 0, 0
		for i, id := range ids {
			n := size(id)
			if id == 1<<40 {
				n = capacity + 1
			}
			hit := c.Access(id, n)
			if hit {
				count++
			}
			if hit && n > capacity {
				t.Errorf("%s holds what is larger than it", name)
			}
			if b := kept(c); b > capacity {
				t.Fatalf("%s: access %d: %d of %d bytes", name, i, b, capacity)
			}
			if i == len(ids)/2 {
				least = int(kept(c))
			}
		}
		if least < capacity/2 || count == 0 || count >= best {
			t.Errorf("%s: %d bytes are used, %d hits of %d that are possible", name, least, count, best)
		}
	}
}

// Each policy that resists scans has more hits than LRU where there are some, and
// none has as many as Belady.
func TestScans(t *testing.T) {
	const room = 60
	ids := mix(4, 40_000, 600)
	rate := map[string]int{}
	for name, c := range map[string]Cache{
		"LRU": NewLRU(room), "2Q": NewTwoQ(room), "S3-FIFO": NewS3FIFO(room),
		"W-TinyLFU": NewWTinyLFU(room, 1), "Belady": NewBelady(room, NextUses(ids)),
	} {
		rate[name] = len(hits(c, ids...))
	}
	t.Log(rate)
	for name, n := range rate {
		if name != "LRU" && n <= rate["LRU"] || name != "Belady" && n >= rate["Belady"] {
			t.Errorf("%s: %d hits of %d; %v", name, n, len(ids), rate)
		}
	}
}
