package disk

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// Blocks on their way and blocks on the disk are dropped, the others stay; a restart
// does not bring them back, and they can be stored anew.
func TestDrop(t *testing.T) {
	o := Options{Dir: t.TempDir(), Capacity: 64 * mib, FlushEvery: time.Hour}
	tier := open(t, o)
	blocks := blocktest.Blocks(t, 1, 120, 100<<10)
	var ids []block.ID
	for i, b := range blocks {
		write(t, tier, b)
		if i == 59 {
			tier.Settle()
		}
		if i%2 == 0 {
			ids = append(ids, b.ID())
		}
	}
	gone, err := tier.Drop(t.Context(), ids)
	if err != nil || !slices.Equal(gone, ids) {
		t.Fatalf("%d of %d blocks were dropped, %v", len(gone), len(ids), err)
	}
	check := func(what string) {
		t.Helper()
		for i, b := range blocks {
			if i%2 == 0 {
				blocktest.CheckError(t, tier, b.ID(), block.ErrNotFound)
			} else {
				blocktest.CheckRead(t, tier, b, block.Disk)
			}
		}
		if t.Failed() {
			t.Fatal(what)
		}
	}
	check("after Drop")
	if again, err := tier.Drop(t.Context(), ids); err != nil || len(again) != 0 {
		t.Errorf("%d blocks were dropped twice, %v", len(again), err)
	}
	closeNow(t, tier)
	tier = open(t, o)
	check("after a restart")
	write(t, tier, blocks[0])
	tier.Settle()
	blocktest.CheckRead(t, tier, blocks[0], block.Disk)

	closeNow(t, tier)
	if _, err := tier.Drop(t.Context(), ids); !errors.Is(err, block.ErrUnavailable) {
		t.Errorf("the tier is closed: %v", err)
	}
}

// A segment in which nothing is left gives its space back at once, and the bounds go on
// to hold.
func TestDropFreesEmptySegments(t *testing.T) {
	tier := open(t, Options{Dir: t.TempDir(), Capacity: 32 * mib, FlushEvery: 10 * time.Millisecond})
	blocks := blocktest.Blocks(t, 2, 200, 100<<10)
	ids := make([]block.ID, len(blocks))
	for i, b := range blocks {
		feed(tier, b)
		ids[i] = b.ID()
	}
	tier.Settle()
	was := tier.Used()
	if _, err := tier.Drop(t.Context(), ids); err != nil {
		t.Fatal(err)
	}
	if now := tier.Used(); now > was/4 {
		t.Errorf("%d of %d bytes are still used", now, was)
	}
	churn(tier, 2*32*mib)
	if n := diskUsage(tier.opts.Dir); n > 32*mib {
		t.Errorf("%d bytes are on the disk", n)
	}
}
