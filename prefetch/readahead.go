package prefetch

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// Options configures a ReadAhead. The zero value is right for a node alone.
type Options struct {
	// Owner reports whether this node reads the block from the origin itself.
	// nil: there is no zone, and all blocks are read in the image's order.
	Owner func(block.ID) bool
	// Rate is the typical rate of the zone's links in Mbit/s, or 0; it sets the
	// defaults of Order and LookAhead. It is asked when a run begins.
	Rate func() uint32
	// Part returns how much of what others do this node should take on, see
	// placement.Part: where its link is slow, the blocks that all the others wait for
	// must not queue behind those its own programs may need later. nil: all. It is
	// asked before each read and must be quick.
	Part func() float64
	// Seed makes this node's order differ from the others'.
	Seed uint64
	// Order is how others' blocks are asked for, LookAhead how own ones are;
	// default placement.DefaultOrder and placement.LookAhead, and nothing further
	// than DefaultAhead blocks beyond what has been used.
	Order, LookAhead placement.OrderLimits
	// Budget is how many bytes all runs together may have read, or be reading,
	// that no program has asked for yet; runs share it equally, but those that have
	// read all there is: they take none of it from others. A small part of
	// L1, so that nothing falls out of it before it is used, whatever else is
	// read: the daemon gives an eighth. Default 64 MiB.
	Budget int64
	// Timeout is how long one read may take; default a minute.
	Timeout time.Duration
	// MaxFailures is how many reads of a run may fail before it gives up;
	// default 32.
	MaxFailures int
	Logger      *slog.Logger // nil discards
}

// The defaults of Options.
const (
	DefaultAhead       = 384
	DefaultBudget      = 64 << 20
	DefaultTimeout     = time.Minute
	DefaultMaxFailures = 32
)

// alone is the order of a node without a zone.
var alone = placement.OrderLimits{Window: 1, Out: 16, Demand: 16, Ahead: DefaultAhead}

func (o Options) withDefaults() Options {
	if o.Budget <= 0 {
		o.Budget = DefaultBudget
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxFailures <= 0 {
		o.MaxFailures = DefaultMaxFailures
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// orders returns the limits of a run that begins now: for others' blocks, and
// for own ones; mean is the mean length of the image's blocks.
func (o Options) orders(mean int) (others, own placement.OrderLimits) {
	var rate uint32
	if o.Rate != nil {
		rate = o.Rate()
	}
	others, own = o.Order, o.LookAhead
	if others == (placement.OrderLimits{}) {
		others = placement.DefaultOrder(rate, mean)
	}
	if others.Ahead <= 0 {
		others.Ahead = DefaultAhead
	}
	if own == (placement.OrderLimits{}) {
		own = placement.LookAhead(rate, mean)
		if o.Owner == nil {
			own = alone
		}
	}
	return others, own
}

// An Image is what a run reads: its blocks in order, and the names under which
// programs read them (block.Call.Image).
type Image struct {
	Names  []string
	Blocks []Block
}

// A Block is one of an image.
type Block struct {
	ID     block.ID
	Length int // of the stored form, in bytes
}

// A ReadAhead has the runs of all images that are open on this node.
type ReadAhead struct {
	reader block.Reader
	opts   Options
	reads  sync.WaitGroup
	watch  watch

	mu     sync.Mutex
	runs   []*Run
	closed bool
}

// NewReadAhead returns a ReadAhead that reads through reader, which must share
// the reads in progress with the programs' (tiers.Flight).
func NewReadAhead(reader block.Reader, opts Options) *ReadAhead {
	return &ReadAhead{reader: reader, opts: opts.withDefaults()}
}

// Start begins to read ahead of whoever reads the image, on behalf of call. The
// run outlives the caller only as long as ctx: give it the daemon's, not a
// request's. After Close it is a run that has ended.
func (a *ReadAhead) Start(ctx context.Context, image Image, call block.Call) *Run {
	return a.start(ctx, newRun(a, image), call)
}

// StartLearned begins to read the blocks of the image that starts of a workload
// are expected to read, in that order: their indexes, as of [Profile.Essential].
// The run goes on until it is stopped, so that its outcome is known.
func (a *ReadAhead) StartLearned(ctx context.Context, image Image, order []uint32, call block.Call) *Run {
	return a.start(ctx, newLearnedRun(a, image, order), call)
}

func (a *ReadAhead) start(ctx context.Context, r *Run, call block.Call) *Run {
	call.Cause = block.Prefetch
	r.ctx, r.cancel = context.WithCancel(block.WithCall(ctx, call))
	a.mu.Lock()
	open := !a.closed && len(r.blocks) > 0
	if open {
		a.runs = append(a.runs, r)
		a.watch.add(r, r.names)
	}
	a.mu.Unlock()
	if !open {
		r.Stop()
		return r
	}
	r.stopAfter(ctx)
	a.share()
	return r
}

// Close ends all runs and waits for their reads.
func (a *ReadAhead) Close() error {
	a.mu.Lock()
	a.closed = true
	runs := slices.Clone(a.runs)
	a.mu.Unlock()
	for _, r := range runs {
		r.Stop()
	}
	a.reads.Wait()
	return nil
}

// Runs returns how many images are read ahead of.
func (a *ReadAhead) Runs() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.runs)
}

// forget takes an ended run out; the others share its part of the budget.
func (a *ReadAhead) forget(r *Run) {
	a.mu.Lock()
	a.runs = slices.DeleteFunc(a.runs, func(other *Run) bool { return other == r })
	a.mu.Unlock()
	a.watch.remove(r, r.names)
	a.share()
}

// share gives every run that reads its part of the budget.
func (a *ReadAhead) share() {
	a.mu.Lock()
	runs := slices.Clone(a.runs)
	a.mu.Unlock()
	runs = slices.DeleteFunc(runs, (*Run).Idle)
	for _, r := range runs {
		r.setShare(a.opts.Budget / int64(len(runs)))
	}
}

// Watch returns next, and tells the runs of an image what programs read of it.
func (a *ReadAhead) Watch(next block.Reader) block.Reader { return a.watch.reader(next) }
