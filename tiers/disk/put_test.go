package disk

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// Far more than the queue takes at a time is put, and all of it is there.
func TestPutWaitsForRoomInTheQueue(t *testing.T) {
	tier := open(t, Options{Dir: t.TempDir(), Capacity: 128 * mib, QueueBytes: 300_000, FlushEvery: 10 * time.Millisecond})
	blocks := blocktest.Blocks(t, 3, 60, 100_001)
	for _, b := range blocks {
		for range 2 { // what is here is not put again
			if err := tier.Put(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
	}
	tier.Settle()
	for _, b := range blocks {
		blocktest.CheckRead(t, tier, b, block.Disk)
	}
	if n := tier.Stats().DeclinedFull; n != 0 {
		t.Errorf("%d offers count as declined", n)
	}
}

func TestPutSaysWhyABlockIsNotTaken(t *testing.T) {
	blocks := blocktest.Blocks(t, 4, 2, 100_001)
	spent := open(t, Options{Dir: t.TempDir(), Capacity: 64 * mib, WriteBudgetPerDay: 24})
	write(t, spent, blocks[0])
	spent.Settle()
	if err := spent.Put(t.Context(), blocks[1]); !errors.Is(err, block.ErrOverloaded) {
		t.Errorf("the budget is spent: %v", err)
	}
	if err := spent.Put(t.Context(), blocks[0]); err != nil {
		t.Errorf("what is here costs no budget: %v", err)
	}

	full := open(t, Options{Dir: t.TempDir(), Capacity: 64 * mib, QueueBytes: 1000})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := full.Put(ctx, blocks[1]); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the queue never takes it: %v", err)
	}
	closeNow(t, full)
	if err := full.Put(t.Context(), blocks[1]); !errors.Is(err, block.ErrUnavailable) {
		t.Errorf("the tier is closed: %v", err)
	}
}
