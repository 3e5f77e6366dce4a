package memory

import (
	"context"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/zonecache/cached/block"
)

// Whatever is written, read, kept and given back in whatever order: a read gives
// the block asked for or a miss, nothing is lost while there is room, the
// budget is kept, and in the end no byte is in use.
func TestTierAgreesWithItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool := block.NewPool(0)
		capacity := rapid.Int64Range(1, 4<<20).Draw(t, "capacity")
		m, err := New(Options{Capacity: capacity})
		if err != nil {
			t.Fatal(err)
		}
		var kept []block.Block           // references readers have not given back
		offered := map[block.ID]int64{}  // everything ever offered, and its size
		var total int64                  // of what was offered
		key := rapid.Uint64Range(0, 40)  // few, so that writes repeat
		size := rapid.IntRange(1, 1<<20) // of new blocks
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				b := named(pool, key.Draw(t, "key"), size.Draw(t, "size"))
				if err := m.WriteBlock(context.Background(), b); err != nil {
					t.Fatal(err)
				}
				if _, again := offered[b.ID()]; !again {
					offered[b.ID()] = int64(b.MemorySize())
					total += int64(b.MemorySize())
				}
				b.Release()
			},
			"read": func(t *rapid.T) {
				id := idOf(key.Draw(t, "key"))
				b, err := m.ReadBlock(context.Background(), id)
				n, known := offered[id]
				switch {
				case err == nil && (!known || b.ID() != id || b.Bytes()[0] != id[24]):
					t.Fatalf("read %s: got %s", id, b.ID())
				case err != nil && !errors.Is(err, block.ErrNotFound):
					t.Fatal(err)
				case err != nil && known && total <= capacity:
					t.Fatalf("block of %d bytes lost with %d of %d offered", n, total, capacity)
				case err == nil:
					kept = append(kept, b)
				}
			},
			"release": func(t *rapid.T) {
				if len(kept) > 0 {
					kept[0].Release()
					kept = kept[1:]
				}
			},
			"": func(t *rapid.T) {
				if m.Used() > capacity {
					t.Fatalf("%d of %d bytes used", m.Used(), capacity)
				}
			},
		})
		m.Close()
		for _, b := range kept {
			b.Release()
		}
		if n := pool.InUse(); n != 0 {
			t.Fatalf("%d bytes leaked", n)
		}
	})
}
