package account

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecache/cached/block"
)

// Options configures a Ledger. The zero value is ready for use.
type Options struct {
	// Images is how many images have books of their own; default 512.
	Images int
	// DistinctBlocks is how many blocks read from the origin are remembered to
	// count the distinct ones, at about 16 bytes each; default 2 Mi. Beyond it
	// the count stands still and says so.
	DistinctBlocks int
	// Owns says whether this node is the one of its zone that reads a block from the
	// origin; nil: it reads all it needs.
	Owns func(id block.ID) bool
	// Tenants are the tenants whose reads are counted apart; all others count
	// together.
	Tenants []string
	// Trace returns the id of the trace that a read belongs to, if it is recorded;
	// else "". It becomes an exemplar of the read's duration. nil: nobody traces.
	Trace func(ctx context.Context) string
	// OriginOps are the operations known to [Ledger.OriginRequest]; default
	// get, has, put, list, delete. Others count as "other".
	OriginOps []string
}

// The defaults of Options.
const (
	DefaultImages         = 512
	DefaultDistinctBlocks = 2 << 20
)

// A Ledger counts the reads of one node.
type Ledger struct {
	since    time.Time
	shards   []shard
	affinity sync.Pool     // *shard: hands each core the same one again and again
	turn     atomic.Uint32 // which shard a core without one gets
	images   *images
	tenants  *tenants
	trace    func(ctx context.Context) string // nil: nobody traces
	examples examples
	distinct *distinctSet
	brought  broughtSet
	ops      []*originOp
	damage   [len(block.Tiers) + 1]damageBook
	refused  [len(block.Tiers) + 1]atomic.Int64 // by an admission

	again  atomic.Int64 // bytes of blocks that the origin had been read for before
	joined atomic.Int64
}

// Joined counts reads that joined one in progress; see tiers.CountedFlight.
func (l *Ledger) Joined() *atomic.Int64 { return &l.joined }

// A shard is a share of all counters. Its sum with the others is what counts.
type shard struct {
	index    int
	started  [causeCount]atomic.Int64
	finished atomic.Int64 // added to last, after every other book
	served   [interfaceCount][rowCount][causeCount]tally
	took     [rowCount][causeCount]spread
	ahead    tally // demand reads that were served because their block was read ahead
	kinds    [kindCount][causeCount]atomic.Int64
	media    [len(block.Tiers) + 1]medium
	_        [64]byte
}

// A medium is what one tier was asked and answered.
type medium struct {
	started  atomic.Int64
	finished atomic.Int64
	took     spread // of hits
	bytes    atomic.Int64
	failures [kindCount]atomic.Int64

	offers      atomic.Int64
	offerBytes  atomic.Int64
	offerErrors atomic.Int64
}

// maxShards bounds the memory of the books, about 50 KiB a shard and 0.3 KiB a
// shard and image.
const maxShards = 16

// New returns an empty ledger.
func New(opts Options) *Ledger {
	if opts.Images <= 0 {
		opts.Images = DefaultImages
	}
	if opts.DistinctBlocks <= 0 {
		opts.DistinctBlocks = DefaultDistinctBlocks
	}
	if len(opts.OriginOps) == 0 {
		opts.OriginOps = []string{"get", "has", "put", "list", "delete"}
	}
	shards := min(runtime.GOMAXPROCS(0), maxShards)
	l := &Ledger{
		since:    time.Now(),
		shards:   make([]shard, shards),
		images:   newImages(opts.Images, shards),
		tenants:  newTenants(opts.Tenants, shards),
		trace:    opts.Trace,
		distinct: newDistinctSet(opts.DistinctBlocks, opts.Owns),
		ops:      newOriginOps(opts.OriginOps),
	}
	for i := range l.shards {
		l.shards[i].index = i
	}
	l.affinity.New = func() any { return &l.shards[int(l.turn.Add(1)-1)%shards] }
	return l
}

// shard returns the shard this core should count in. A pool keeps what is put
// back at the core that put it; that is all it is used for, since any shard is
// right and all of them stay where they are.
func (l *Ledger) shard() *shard {
	s := l.affinity.Get().(*shard)
	l.affinity.Put(s)
	return s
}

// clock returns the monotonic time since the ledger began.
func (l *Ledger) clock() time.Duration { return time.Since(l.since) }
