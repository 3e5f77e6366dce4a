package memory

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/zonecache/cached/block"
)

// Options configures a Tier.
type Options struct {
	// Capacity is the budget in bytes of memory occupied by blocks. Zero
	// switches the tier off: every read misses and every offer is declined.
	Capacity int64
}

// A Tier is a bounded store of blocks in memory.
type Tier struct {
	capacity int64
	offering int64 // bytes that may be on their way in at once
	cache    *ristretto.Cache[uint64, entry]
	window   window
	gates    [gateCount]gate
	moving   sync.Mutex // from the window to ristretto
	writers  sync.WaitGroup
	closing  sync.Once

	used    atomic.Int64 // bytes referenced, including offers
	offered atomic.Int64 // bytes on their way in
	evicted atomic.Int64
	census  census

	tooLarge, busy, closed atomic.Int64 // offers declined, by reason
}

var _ block.Store = (*Tier)(nil)

const (
	// maxOffering bounds the bytes on their way in, whatever the capacity: at
	// 1 GB/s it is 32 ms of writes, where a decision takes microseconds.
	maxOffering = 32 << 20

	// meanBlock is the size for which ristretto's frequency sketch is laid out:
	// a default block of 256 KiB is about this large once compressed. Ten
	// counters a block, as ristretto asks for, then cost 0.05 % of the capacity.
	// The sketch halves all frequencies after as many reads as it has counters:
	// many more of them make the tier slow to forget what is no longer read.
	meanBlock       = 64 << 10
	countersPerItem = 10
	minCounters     = 1_000

	// getBuffer is how many reads are batched before the policy learns of them.
	getBuffer = 64
)

// New returns an empty tier. It fails if the capacity is negative.
func New(opts Options) (*Tier, error) {
	if opts.Capacity < 0 {
		return nil, fmt.Errorf("memory: capacity of %d bytes: want 0 (off) or more", opts.Capacity)
	}
	t := &Tier{
		capacity: opts.Capacity,
		offering: min(opts.Capacity/8, maxOffering),
		window:   window{limit: opts.Capacity / windowShare},
		census:   newCensus(),
	}
	for i := range t.gates {
		t.gates[i].writing = map[uint64]struct{}{}
		t.gates[i].fresh = map[uint64]entry{}
		t.gates[i].closed = opts.Capacity == 0
	}
	if opts.Capacity == 0 {
		return t, nil
	}
	cache, err := ristretto.NewCache(&ristretto.Config[uint64, entry]{
		NumCounters:        countersFor(opts.Capacity),
		MaxCost:            opts.Capacity - t.window.limit,
		BufferItems:        getBuffer,
		IgnoreInternalCost: true, // costs are bytes of blocks and nothing else
		KeyToHash:          func(key uint64) (uint64, uint64) { return key, 0 },
		// ristretto calls OnExit once for every value it lets go, on top of
		// OnEvict or OnReject: only OnExit may release.
		OnExit:   t.exit,
		OnEvict:  func(*ristretto.Item[entry]) { t.evicted.Add(1) },
		OnReject: func(*ristretto.Item[entry]) { t.evicted.Add(1) }, // from the window
		// offer never sets a key that is present, see there. Were it to happen,
		// the block already served stays.
		ShouldUpdate: func(entry, entry) bool { return false },
	})
	if err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	t.cache = cache
	return t, nil
}

func countersFor(capacity int64) int64 {
	return max(capacity/meanBlock*countersPerItem, minCounters)
}

// Capacity returns the budget in bytes.
func (t *Tier) Capacity() int64 { return t.capacity }

// Used returns the bytes of memory of all blocks the tier references. It
// exceeds the capacity by at most the blocks being offered at the moment.
func (t *Tier) Used() int64 { return t.used.Load() }

// Evictions returns how many blocks were dropped to make room for others.
func (t *Tier) Evictions() int64 { return t.evicted.Load() }

// Declines returns how many offers were not kept: larger than the capacity, or
// too much on its way in. Offers of blocks the tier holds already are not among
// them.
func (t *Tier) Declines() int64 { return t.tooLarge.Load() + t.busy.Load() + t.closed.Load() }

// Declined returns the same by reason: larger than the capacity, which is all when
// the tier is off; too much on its way in; after Close.
func (t *Tier) Declined() map[string]int64 {
	return map[string]int64{"too_large": t.tooLarge.Load(), "busy": t.busy.Load(), "closed": t.closed.Load()}
}

// Oldest returns when the oldest block that the tier holds came into it, to the
// second; the zero time when it holds none.
func (t *Tier) Oldest() time.Time { return t.census.oldest() }

// ReadBlock implements [block.Reader]. It fails with [block.ErrNotFound] only.
func (t *Tier) ReadBlock(_ context.Context, id block.ID) (block.Block, error) {
	key := keyOf(id)
	g := t.gateOf(key)
	g.mu.RLock()
	e, ok := t.lookupLocked(g, key)
	b := e.Block
	if ok && b.ID() == id {
		// The block may have been evicted since the lookup, and its memory may
		// belong to another block by now: a lost race is a miss.
		b, ok = b.TryRetain()
	} else {
		ok = false
	}
	g.mu.RUnlock()
	if !ok {
		return block.Block{}, fmt.Errorf("memory: read %s: %w", id, block.ErrNotFound)
	}
	return b.WithFrom(block.Memory), nil
}

// Has reports whether the tier holds the block, without counting as a use of it.
// Of blocks whose ids begin alike it may mean another one.
func (t *Tier) Has(id block.ID) bool {
	key := keyOf(id)
	g := t.gateOf(key)
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed {
		return false
	}
	_, fresh := g.fresh[key]
	_, held := t.cache.GetTTL(key)
	return fresh || held
}

// WriteBlock implements [block.Writer]. When it returns, the block is readable
// or was declined, except where another call is offering the same block: then
// it returns at once and leaves the matter to that call. It never fails.
func (t *Tier) WriteBlock(_ context.Context, b block.Block) error {
	key := keyOf(b.ID())
	switch size := int64(b.MemorySize()); {
	case size > t.capacity:
		t.tooLarge.Add(1)
		return nil
	case !t.reserve(size):
		t.busy.Add(1)
		return nil
	}
	defer t.offered.Add(-int64(b.MemorySize()))
	if g := t.gateOf(key); t.beginWrite(g, key) {
		defer t.endWrite(g, key)
		t.admit(g, key, b)
	}
	return nil
}

// offer hands a reference that the tier has to ristretto and waits for its
// decision. The caller has made sure that nobody else sets the key and that it
// is absent: a Set of a present key would charge the old block the new block's
// size.
func (t *Tier) offer(key uint64, e entry) {
	if !t.cache.Set(key, e, int64(e.MemorySize())) {
		// Dropped, because ristretto's queue is full. It calls nobody.
		t.evicted.Add(1)
		t.exit(e)
		return
	}
	// The queue is first in, first out, so that the decision about e, and the
	// evictions that make room for it, come before the end of this wait.
	t.cache.Wait()
}

// reserve takes size bytes of what may be on its way in. A single offer is
// always let through, so that a small tier takes large blocks, too.
func (t *Tier) reserve(size int64) bool {
	if n := t.offered.Add(size); n > t.offering && n > size {
		t.offered.Add(-size)
		return false
	}
	return true
}

// exit drops the reference ristretto held. Deletions and evictions of keys that
// are gone already arrive as the zero entry.
func (t *Tier) exit(e entry) {
	if e.IsZero() {
		return
	}
	t.census.leave(e)
	t.used.Add(-int64(e.MemorySize()))
	e.Release()
}

// Close waits for writes in progress and releases every block. It always
// succeeds.
func (t *Tier) Close() error {
	t.closing.Do(func() {
		for i := range t.gates {
			t.gates[i].close()
		}
		t.writers.Wait()
		t.cache.Close() // a nil cache is closed already
		for i := range t.gates {
			for _, e := range t.gates[i].fresh {
				t.exit(e)
			}
		}
	})
	return nil
}
