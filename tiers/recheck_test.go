package tiers_test

import (
	"context"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/tiers"
)

// A store that is looked into before a flight and in it is asked once for what it
// lacks, and gives what came between the two.
func TestAMissIsAskedForOnce(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	l1 := blocktest.NewFake(block.Memory)
	defer l1.Remove(b.ID())
	has := func(block.ID) bool { return l1.Writes() > 0 }
	below := block.ReaderFunc(func(context.Context, block.ID) (block.Block, error) { return b.Retain(), nil })
	again := tiers.Recheck(l1, has)
	chain := tiers.Fallback(l1, tiers.Flight(tiers.ReadThrough(again, below, tiers.Always)))
	for i, want := range []int{1, 2} { // a miss, then a hit
		got, err := chain.ReadBlock(context.Background(), b.ID())
		if err != nil {
			t.Fatal(err)
		}
		got.Release()
		if n := l1.TotalReads(); n != want {
			t.Errorf("read %d: the store was asked %d times, want %d", i, n, want)
		}
	}
	got, err := again.ReadBlock(context.Background(), b.ID())
	if err != nil {
		t.Errorf("what came meanwhile: %v", err)
	}
	got.Release()
}
