package disk

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/zonecache/cached/block"
)

// Bounds and defaults of [Options].
const (
	MinCapacity        = 32 << 20 // bytes
	DefaultQueueBytes  = 64 << 20
	DefaultFlushEvery  = time.Second
	DefaultReadTimeout = 2 * time.Second
)

// Options configure a [Tier]. Dir and Capacity are required.
type Options struct {
	Dir      string // created if its parent exists
	Capacity int64  // bytes of all files together, at least MinCapacity
	MinFree  int64  // bytes the file system must keep free; the tier shrinks before it goes below

	// QueueBytes bounds the memory held by blocks on their way to the disk;
	// beyond it offers are declined. 0 means DefaultQueueBytes.
	QueueBytes int64
	// FlushEvery is how long an accepted block may wait until it is durable:
	// what a crash loses. 0 means DefaultFlushEvery.
	FlushEvery time.Duration
	// ReadTimeout is how long a read waits for the disk, up to half as long
	// again; then the block is unavailable here, and better read elsewhere. 0 means DefaultReadTimeout.
	ReadTimeout time.Duration
	// WriteBudgetPerDay bounds the bytes written, to spare the flash; beyond it
	// offers are declined. An hour's share can be spent at once. 0 means no bound.
	WriteBudgetPerDay int64
	// Kept says which blocks are not evicted: at most half of the capacity, so that
	// there is room for others. It is asked when space is reclaimed, and must return
	// at once. nil means none.
	Kept func(block.ID) bool

	Pool   *block.Pool  // where blocks that are read live; nil means block.DefaultPool
	Logger *slog.Logger // nil means discard

	files   fileSystem    // tests inject faults here
	indexFS vfs.FS        // and here
	backoff time.Duration // first pause after a failed write
	now     func() time.Time
}

func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("disk: no directory given")
	}
	if o.Capacity < MinCapacity {
		return o, fmt.Errorf("disk: capacity of %d bytes for %s: want at least %d (32 MiB)", o.Capacity, o.Dir, int64(MinCapacity))
	}
	if o.MinFree < 0 || o.QueueBytes < 0 || o.FlushEvery < 0 || o.ReadTimeout < 0 || o.WriteBudgetPerDay < 0 {
		return o, fmt.Errorf("disk: negative option for %s", o.Dir)
	}
	if o.QueueBytes == 0 {
		o.QueueBytes = DefaultQueueBytes
	}
	if o.FlushEvery == 0 {
		o.FlushEvery = DefaultFlushEvery
	}
	if o.ReadTimeout == 0 {
		o.ReadTimeout = DefaultReadTimeout
	}
	if o.Kept == nil {
		o.Kept = func(block.ID) bool { return false }
	}
	if o.Pool == nil {
		o.Pool = block.DefaultPool
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.indexFS == nil {
		o.indexFS = vfs.Default
	}
	if o.backoff == 0 {
		o.backoff = time.Second
	}
	if o.now == nil {
		o.now = time.Now
	}
	return o, nil
}

// memTableSize keeps the index's log small beside a small capacity; Pebble's
// default, 4 MiB, is enough for the largest.
func memTableSize(capacity int64) int64 { return min(max(capacity/256, 256<<10), 4<<20) }

// indexCacheSize holds the whole index of 256 KiB blocks, up to a limit.
func indexCacheSize(capacity int64) int64 { return min(max(capacity/4096, 8<<20), 64<<20) }
