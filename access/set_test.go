package access

import (
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"

	"github.com/zonecache/cached/block"
)

func idOf(n uint64) block.ID { return block.Sum(binary.BigEndian.AppendUint64(nil, n)) }

func TestSetsHoldTheirIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Ids with few different beginnings fall into one bucket.
		gen := rapid.Custom(func(t *rapid.T) (id block.ID) {
			id[0], id[5], id[31] = rapid.Byte().Draw(t, "first"), rapid.ByteRange(0, 3).Draw(t, "middle"), rapid.ByteRange(0, 3).Draw(t, "last")
			return id
		})
		ids := rapid.SliceOf(gen).Draw(t, "ids")
		s := newSet(ids)
		in := map[block.ID]bool{}
		for _, id := range ids {
			in[id] = true
			if !s.contains(id) {
				t.Fatalf("lost %s", id)
			}
		}
		for _, id := range rapid.SliceOf(gen).Draw(t, "others") {
			if s.contains(id) != in[id] {
				t.Fatalf("%s: %v", id, s.contains(id))
			}
		}
	})
}

func TestSetsAreCompact(t *testing.T) {
	for _, n := range []int{0, 1, 3, 1000, 100_000} {
		ids := make([]block.ID, n)
		for i := range ids {
			ids[i] = idOf(uint64(i))
		}
		if got, limit := newSet(ids).size(), int64(35*n+64); got > limit {
			t.Errorf("%d ids take %d bytes, want at most %d", n, got, limit)
		}
	}
}

func TestSetsKeepTheirBudget(t *testing.T) {
	c, err := newSets(100_000)
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(100) {
		ids := make([]block.ID, 100)
		for j := range ids {
			ids[j] = idOf(i<<32 | uint64(j))
		}
		c.add(idOf(i), newSet(ids))
		c.add(idOf(i), newSet(ids)) // twice is once
		var sum int64
		for _, s := range c.lru.Values() {
			sum += s.size()
		}
		if sum != c.bytes || sum > c.limit {
			t.Fatalf("%d bytes held, %d counted, %d allowed", sum, c.bytes, c.limit)
		}
	}
	if c.get(idOf(99)) == nil || c.get(idOf(0)) != nil {
		t.Error("not the latest are kept")
	}
}
