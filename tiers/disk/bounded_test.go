package disk

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// A hang makes every read of a segment wait until it is over.
type hang struct {
	begun atomic.Int64
	first chan struct{} // closed when the first read waits
	over  chan struct{}
	end   func()
}

func (d *readHook) hang(t *testing.T) *hang {
	h := &hang{first: make(chan struct{}), over: make(chan struct{})}
	wait := func() {
		if h.begun.Add(1) == 1 {
			close(h.first)
		}
		<-h.over
	}
	d.before.Store(&wait)
	h.end = sync.OnceFunc(func() { close(h.over) })
	t.Cleanup(h.end) // before the tier is closed, which waits for reads
	return h
}

// hungTier returns a tier with blocks on a disk that hangs.
func hungTier(t *testing.T, timeout time.Duration) (*Tier, []block.Block, *hang) {
	disk := &readHook{}
	o := Options{Dir: t.TempDir(), Capacity: 64 * mib, Logger: quiet(), ReadTimeout: timeout}
	o.files = disk
	tier := open(t, o)
	blocks := blocktest.Blocks(t, 1, 4, 90_000)
	write(t, tier, blocks...)
	return tier, blocks, disk.hang(t)
}

func TestHungReadsAreUnavailableAndBounded(t *testing.T) {
	tier, blocks, disk := hungTier(t, time.Millisecond)
	for range maxAbandoned {
		blocktest.CheckError(t, tier, blocks[0].ID(), block.ErrUnavailable)
	}
	until(t, "reads reach the disk", func() bool { return disk.begun.Load() == maxAbandoned })
	for range 10 { // not even tried
		blocktest.CheckError(t, tier, blocks[1].ID(), block.ErrUnavailable)
	}
	if n := disk.begun.Load(); n != maxAbandoned || tier.abandoned.Load() != maxAbandoned {
		t.Errorf("%d reads of a disk that hangs, %d abandoned, want %d", n, tier.abandoned.Load(), maxAbandoned)
	}
	if s := tier.Stats(); s.ReadErrors != maxAbandoned+10 {
		t.Errorf("%d read errors, want %d", s.ReadErrors, maxAbandoned+10)
	}
	fresh := blocktest.Block(100, 1000)
	defer fresh.Release()
	offer(t, tier, fresh)
	blocktest.CheckRead(t, tier, fresh, block.Disk) // from memory

	disk.end()
	until(t, "the disk answers", func() bool { return tier.abandoned.Load() == 0 })
	until(t, "reads succeed", func() bool {
		b, err := tier.ReadBlock(context.Background(), blocks[1].ID())
		b.Release()
		return err == nil
	})
}

func TestHungReadEndsWithItsContext(t *testing.T) {
	tier, blocks, disk := hungTier(t, time.Hour)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-disk.first
		cancel()
	}()
	if _, err := tier.ReadBlock(ctx, blocks[0].ID()); !errors.Is(err, context.Canceled) {
		t.Fatalf("read: %v, want the context's error", err)
	}
	if s := tier.Stats(); s.ReadErrors != 0 {
		t.Errorf("a caller that left was counted as a read error: %+v", s)
	}
	disk.end()
	until(t, "the disk answers", func() bool { return tier.abandoned.Load() == 0 })
	blocktest.CheckRead(t, tier, blocks[0], block.Disk)
}
