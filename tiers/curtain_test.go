package tiers_test

import (
	"context"
	"errors"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/tiers"
)

func TestACurtainHidesWhatWasThereAndLosesNothing(t *testing.T) {
	blocks := blocktest.Blocks(t, 1, 20, 1000)
	old, fresh := blocks[:10], blocks[10:]
	store := fake(t, block.Disk, old...)
	c := tiers.NewCurtain(store)
	shown := func(b block.Block) bool {
		got, err := c.ReadBlock(t.Context(), b.ID())
		if err != nil {
			if !errors.Is(err, block.ErrNotFound) || c.Shows(b.ID()) {
				t.Errorf("%v, shown %v: want not found, hidden", err, c.Shows(b.ID()))
			}
			return false
		}
		got.Release()
		return true
	}
	write := func(b block.Block) {
		if err := c.WriteBlock(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range old {
		if !shown(b) {
			t.Fatal("a curtain that is up hides a block")
		}
	}

	c.Fall()
	for _, b := range old {
		if shown(b) {
			t.Fatal("a curtain that is down shows what was there before")
		}
	}
	for _, b := range fresh {
		write(b)
	}
	write(old[0])
	for _, b := range append(fresh, old[0]) {
		if !shown(b) {
			t.Fatal("a curtain that is down hides what came since")
		}
	}
	if shown(old[1]) {
		t.Fatal("another block came back")
	}

	c.Fall()
	if shown(fresh[0]) {
		t.Fatal("what came before the second fall is shown")
	}
	c.Rise()
	for _, b := range blocks {
		if !shown(b) {
			t.Fatal("something is lost")
		}
	}
}

func TestACurtainShowsNothingOfAFailedOffer(t *testing.T) {
	b := blocktest.Blocks(t, 1, 1, 1000)[0]
	store := fake(t, block.Disk, b)
	c := tiers.NewCurtain(failingWriter{store})
	c.Fall()
	if err := c.WriteBlock(t.Context(), b); err == nil {
		t.Fatal("the error of the store is lost")
	}
	if c.Shows(b.ID()) {
		t.Fatal("a block that was not written is shown")
	}
}

type failingWriter struct{ block.Store }

func (failingWriter) WriteBlock(context.Context, block.Block) error { return block.ErrUnavailable }
