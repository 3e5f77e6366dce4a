package memory

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

func idsOf(blocks []block.Block) []block.ID {
	ids := make([]block.ID, len(blocks))
	for i, b := range blocks {
		ids[i] = b.ID()
	}
	return ids
}

// Blocks in the window and blocks that have left it are dropped, once; who reads one
// goes on; the room is free again, and the block can come back.
func TestDrop(t *testing.T) {
	blocks := blocktest.Blocks(t, 1, 200, 10_000)
	tier, err := New(Options{Capacity: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer tier.Close()
	for _, b := range blocks {
		_ = tier.WriteBlock(t.Context(), b)
	}
	var held []block.ID
	for _, id := range idsOf(blocks) {
		if tier.Has(id) {
			held = append(held, id)
		}
	}
	if len(held) < 20 || len(held) == len(blocks) {
		t.Fatalf("%d of %d blocks are held", len(held), len(blocks))
	}
	reading, err := tier.ReadBlock(t.Context(), held[0])
	if err != nil {
		t.Fatal(err)
	}
	dropped := tier.Drop(idsOf(blocks))
	if len(dropped) != len(held) || tier.Used() != 0 {
		t.Errorf("%d of %d blocks were dropped, %d bytes are left", len(dropped), len(held), tier.Used())
	}
	if block.Sum(reading.Bytes()) != held[0] {
		t.Error("who read a dropped block has other bytes")
	}
	reading.Release()
	for _, id := range held {
		if _, err := tier.ReadBlock(t.Context(), id); !errors.Is(err, block.ErrNotFound) {
			t.Fatalf("it is still there: %v", err)
		}
	}
	if again := tier.Drop(held); len(again) != 0 {
		t.Errorf("%d blocks were dropped twice", len(again))
	}
	_ = tier.WriteBlock(t.Context(), blocks[0])
	blocktest.CheckRead(t, tier, blocks[0], block.Memory)

	tier.Close()
	off, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(tier.Drop(held)) + len(off.Drop(held)); n != 0 {
		t.Errorf("%d blocks were dropped by tiers that hold none", n)
	}
}

// Readers, writers and droppers of the same blocks: whatever is read is right, and
// nothing stays behind (the leak check of TestMain sees to that).
func TestDropAmongReadersAndWriters(t *testing.T) {
	blocks := blocktest.Blocks(t, 2, 64, 4000)
	ids := idsOf(blocks)
	tier, err := New(Options{Capacity: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	defer tier.Close()
	var wg sync.WaitGroup
	for who := range uint64(6) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(who, 7))
			for range 2000 {
				i := rng.IntN(len(blocks))
				switch who % 3 {
				case 0:
					_ = tier.WriteBlock(context.Background(), blocks[i])
				case 1:
					if b, err := tier.ReadBlock(context.Background(), ids[i]); err == nil {
						if block.Sum(b.Bytes()) != ids[i] {
							t.Error("wrong bytes")
						}
						b.Release()
					}
				default:
					tier.Drop(ids[i:min(i+4, len(ids))])
				}
			}
		})
	}
	wg.Wait()
	tier.Drop(ids)
	if n := tier.Used(); n != 0 {
		t.Errorf("%d bytes are left", n)
	}
}
