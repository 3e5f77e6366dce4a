package disk

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/tiers/disk/evict"
)

// pendingIn returns what the queue holds: blocks and their bytes.
func pendingIn(tier *Tier) (blocks int, bytes int64) {
	tier.queue.mu.Lock()
	defer tier.queue.mu.Unlock()
	return len(tier.queue.pending), tier.queue.bytes
}

// Whatever step of a write fails, all that was accepted is given up and counted:
// a rest that stayed in the queue would in the end fill it for ever.
func TestRepeatedWriteErrorsDoNotFillTheQueue(t *testing.T) {
	disk := &faults{}
	o := Options{Dir: t.TempDir(), Capacity: 64 * mib, Logger: quiet(), FlushEvery: time.Millisecond, QueueBytes: 8 * mib}
	o.files, o.backoff = disk, time.Millisecond
	tier := open(t, o)
	var accepted int64
	for round := range 10 { // of 1.8 MB
		disk.writes.Store(int32(syscall.EIO))
		declined := tier.Declines()
		blocks := blocktest.Blocks(t, uint64(1000+round*50), 20, 90_000)
		offer(t, tier, blocks...)
		accepted += int64(len(blocks)) - (tier.Declines() - declined)
		tier.Settle()
		disk.writes.Store(0)
		until(t, "another try", func() bool { return !tier.health.sick.Load() })
	}
	if n, bytes := pendingIn(tier); n != 0 || bytes != 0 {
		t.Errorf("%d blocks of %d bytes are left in the queue", n, bytes)
	}
	if s := tier.Stats(); s.Lost != accepted || s.DeclinedFull != 0 {
		t.Errorf("%d of %d accepted blocks counted as lost: %+v", s.Lost, accepted, s)
	}
	blocks := blocktest.Blocks(t, 1, 20, 90_000)
	write(t, tier, blocks...)
	for _, b := range blocks {
		blocktest.CheckRead(t, tier, b, block.Disk)
	}
	if n, bytes := pendingIn(tier); n != 0 || bytes != 0 || tier.Stats().Sick != nil {
		t.Errorf("%d blocks of %d bytes are left in the queue: %+v", n, bytes, tier.Stats())
	}
}

// readHook calls a function before every read of a segment.
type readHook struct {
	osFiles
	before atomic.Pointer[func()]
}

func (h *readHook) Create(path string, size int64) (segmentFile, error) {
	file, err := h.osFiles.Create(path, size)
	return hookedFile{file, h}, err
}

func (h *readHook) Open(path string) (segmentFile, error) {
	file, err := h.osFiles.Open(path)
	return hookedFile{file, h}, err
}

type hookedFile struct {
	segmentFile
	h *readHook
}

func (f hookedFile) ReadAt(p []byte, off int64) (int, error) {
	if before := f.h.before.Load(); before != nil {
		(*before)()
	}
	return f.segmentFile.ReadAt(p, off)
}

// A segment that could not be reclaimed has its turn again, and what was to be
// rescued from it is neither pending nor lost.
func TestSegmentThatCannotBeErasedHasItsTurnAgain(t *testing.T) {
	disk := &readHook{}
	o := Options{Dir: t.TempDir(), Capacity: 64 * mib, Logger: quiet(), FlushEvery: time.Hour}
	o.files = disk
	tier := open(t, o)
	blocks := blocktest.Blocks(t, 1, 30, 90_000)
	write(t, tier, blocks...)
	has(t, tier, blocks[0].ID()) // hot
	w := tier.writer             // idle: all is settled
	segments := w.policy.Len()
	if segments == 0 {
		t.Fatal("no full segment")
	}
	w.policy.Wrote(int(gib)) // leave to rewrite a segment
	fail := func() { tier.index.failed.Store(true) }
	disk.before.Store(&fail)
	if err := w.reclaim(evict.Rotate); !errors.Is(err, block.ErrUnavailable) {
		t.Fatalf("reclaim without an index: %v", err)
	}
	disk.before.Store(nil)
	if n, bytes := pendingIn(tier); w.policy.Len() != segments || len(w.moves) != 0 || n != 0 || bytes != 0 {
		t.Errorf("%d of %d segments, %d moves, %d pending of %d bytes", w.policy.Len(), segments, len(w.moves), n, bytes)
	}
	tier.index.failed.Store(false)
	blocktest.CheckRead(t, tier, blocks[0], block.Disk)
}

// What cannot be written before Close is lost, and counted.
func TestBlocksDroppedByCloseAreCounted(t *testing.T) {
	o := Options{Dir: t.TempDir(), Capacity: 64 * mib, Logger: quiet(), FlushEvery: time.Hour}
	tier, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	b := blocktest.Blocks(t, 1, 1, 90_000)[0]
	tier.Settle()
	if !tier.queue.adopt(b.Retain()) { // a move nobody placed
		t.Fatal("not adopted")
	}
	closeNow(t, tier)
	if s := tier.Stats(); s.Lost != 1 {
		t.Errorf("%d blocks counted as lost, want 1", s.Lost)
	}
	if _, err := tier.ReadBlock(context.Background(), b.ID()); !errors.Is(err, block.ErrUnavailable) {
		t.Errorf("read after Close: %v", err)
	}
}
