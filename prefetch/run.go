package prefetch

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// A Run reads ahead of those who read one image.
type Run struct {
	*ReadAhead
	names  []string
	blocks []Block          // each once, where it comes first
	index  map[block.ID]int // into blocks, or beyond: those the run does not read
	seen   []atomic.Bool
	ctx    context.Context //nolint:containedctx // of the reads, which nobody calls
	cancel context.CancelFunc

	// learned: the blocks are what starts are expected to read, the likeliest order
	// first. The run goes on until it is stopped, so that its outcome is known, and
	// trusts its list as far as programs confirm it.
	learned bool

	mu       sync.Mutex
	tally    tally
	others   *placement.Order
	own      *placement.Order
	read     []bool // this run has begun to read it
	next     int    // one beyond the furthest block a program has asked for
	ahead    int64  // bytes read, or being read, that no program has asked for
	share    int64  // how many that may be
	failures int
	left     int // blocks that neither the run has read nor a program has asked for
	reading  int
	why      string // it is given up
	idle     bool   // it reads no more, and waits for programs to ask for what it has read
	heard    bool   // one has, since it was last looked
	patience *time.Timer
	ended    bool
	onEnd    []func()    // told when it has ended
	unwatch  func() bool // stops waiting for the end of its context
}

func newRun(a *ReadAhead, image Image) *Run {
	r := &Run{ReadAhead: a, names: image.Names, index: make(map[block.ID]int, len(image.Blocks))}
	for _, b := range image.Blocks {
		r.list(b)
	}
	r.plan()
	return r
}

// newLearnedRun returns a run that reads the blocks of the image with these
// indexes, in this order.
func newLearnedRun(a *ReadAhead, image Image, order []uint32) *Run {
	r := &Run{ReadAhead: a, names: image.Names, index: make(map[block.ID]int, len(image.Blocks)), learned: true}
	for _, i := range order {
		if int(i) < len(image.Blocks) {
			r.list(image.Blocks[i])
		}
	}
	r.plan()
	for _, b := range image.Blocks { // the others are watched only
		if _, ok := r.index[b.ID]; !ok {
			r.index[b.ID] = len(r.index)
		}
	}
	r.seen = make([]atomic.Bool, len(r.index))
	return r
}

// list has the run read b, once.
func (r *Run) list(b Block) {
	if _, ok := r.index[b.ID]; !ok {
		r.index[b.ID] = len(r.blocks)
		r.blocks = append(r.blocks, b)
	}
}

func (r *Run) plan() {
	a := r.ReadAhead
	r.tally.here = make([]bool, len(r.blocks))
	r.seen, r.read = make([]atomic.Bool, len(r.blocks)), make([]bool, len(r.blocks))
	r.left = len(r.blocks)
	others, own := a.opts.orders(r.mean())
	r.others = placement.NewOrder(len(r.blocks), a.opts.Seed, others)
	r.own = placement.NewOrder(len(r.blocks), a.opts.Seed, own)
	for i, b := range r.blocks {
		if a.opts.Owner == nil || a.opts.Owner(b.ID) {
			r.others.Skip(i)
		} else {
			r.own.Skip(i)
		}
	}
}

func (r *Run) mean() int {
	total := 0
	for _, b := range r.blocks {
		total += b.Length
	}
	return total / max(1, len(r.blocks))
}

// touched implements listener.
func (r *Run) touched(_ string, id block.ID) { r.Touched(id) }

// Touched says that a program asks for a block. It does not wait for anything.
func (r *Run) Touched(id block.ID) {
	i, ok := r.index[id]
	if !ok || r.seen[i].Load() || r.seen[i].Swap(true) {
		return
	}
	r.mu.Lock()
	switch {
	case i >= len(r.blocks):
		r.tally.miss()
		r.mu.Unlock()
		return
	case r.read[i]:
		r.heard = true
		r.tally.touched(i, r.blocks[i].Length)
		r.ahead -= int64(r.blocks[i].Length)
	default:
		r.tally.miss()
		r.left--
	}
	r.others.Skip(i)
	r.own.Skip(i)
	// A program that skips blocks must not be waited for where it will never be.
	r.next = max(r.next, i+1)
	r.others.Advance(r.next)
	r.own.Advance(r.next)
	r.goOnLocked()
	then := r.turnLocked()
	r.mu.Unlock()
	then()
}

func (r *Run) setShare(bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.share = bytes
	r.goOnLocked()
}

// goOnLocked begins all reads that may begin now. Own blocks come first: others
// wait for them.
func (r *Run) goOnLocked() {
	if r.opts.Part != nil {
		r.others.Narrow(r.opts.Part())
	}
	for _, order := range []*placement.Order{r.own, r.others} {
		// One block may always be ahead, however small the share is.
		for !r.ended && r.why == "" && r.ctx.Err() == nil && (r.ahead < r.mayLocked() || r.reading == 0 && r.ahead == 0) {
			i, ok := order.Next()
			if !ok {
				break
			}
			r.read[i] = true
			r.tally.began(r.blocks[i].Length)
			r.ahead += int64(r.blocks[i].Length)
			r.left--
			r.reading++
			r.reads.Add(1)
			go r.readBlock(i, order)
		}
	}
}

// What a learned list is trusted with before a program has confirmed any of it, and
// how much more for each byte that one does: a wrong list costs the first, a right
// one is soon bounded by the run's share only.
const (
	firstTrust = 8 << 20
	moreTrust  = 4
)

// mayLocked returns how many bytes may be ahead.
func (r *Run) mayLocked() int64 {
	if !r.learned {
		return r.share
	}
	return min(r.share, firstTrust+moreTrust*(r.tally.Used.Bytes+r.tally.Late.Bytes))
}

// readBlock brings block i into the tiers and keeps nothing of it.
func (r *Run) readBlock(i int, order *placement.Order) {
	defer r.reads.Done()
	ctx, cancel := context.WithTimeout(r.ctx, r.opts.Timeout)
	defer cancel()
	call := block.CallFrom(ctx)
	call.Bytes = r.blocks[i].Length
	b, err := r.reader.ReadBlock(block.WithCall(ctx, call), r.blocks[i].ID)
	b.Release()

	r.mu.Lock()
	r.reading--
	order.Done(i)
	tried := r.why == ""
	if r.tally.here[i] = err == nil; err != nil {
		r.failedLocked(i, err)
	}
	r.goOnLocked()
	then, why, failures := r.turnLocked(), r.why, r.failures
	r.mu.Unlock()
	if tried && why != "" {
		r.opts.Logger.Warn("reading ahead of an image given up", "image", r.names, "failures", failures, "last", why)
	}
	then()
}

// failedLocked counts a failure. The block is left to whoever needs it.
func (r *Run) failedLocked(i int, err error) {
	if r.read[i] && !r.seen[i].Load() {
		r.ahead -= int64(r.blocks[i].Length)
		r.tally.gone(r.blocks[i].Length)
	}
	r.read[i] = false
	r.left++ // it is not here: a program that asks for it counts it out
	if r.seen[i].Load() {
		r.left--
	}
	if r.ctx.Err() != nil {
		return
	}
	r.opts.Logger.Debug("a block cannot be read ahead and is left to who needs it", "image", r.names, "block", r.blocks[i].ID.Short(), "error", err)
	if errors.Is(err, context.Canceled) {
		return
	}
	if r.failures++; r.failures >= r.opts.MaxFailures && r.why == "" {
		r.why = err.Error()
	}
}

// turnLocked returns what is to be done next, without the lock. A run that has read
// all there is goes on until programs have asked for that, too: what became of it is
// not known before.
func (r *Run) turnLocked() (then func()) {
	switch {
	case r.ended || r.reading > 0 || r.left > 0 && r.why == "":
	case !r.learned && r.tally.Pending.Blocks == 0:
		return r.Stop
	case !r.idle:
		r.idle = true
		if !r.learned {
			r.patience = time.AfterFunc(idleFor, r.lookAgain)
		}
		return r.ReadAhead.share
	}
	return func() {}
}

// idleFor is how long an idle run waits for programs, anew whenever one has asked: who
// opened the image may have died.
const idleFor = DefaultLongest

func (r *Run) lookAgain() {
	r.mu.Lock()
	heard := r.heard
	if r.heard = false; heard && !r.ended {
		r.patience.Reset(idleFor)
	}
	r.mu.Unlock()
	if !heard {
		r.Stop()
	}
}

func (r *Run) stopAfter(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		r.unwatch = context.AfterFunc(ctx, r.Stop)
	}
}

// Stop ends the run. It does not wait for its reads, which are cancelled.
func (r *Run) Stop() {
	r.mu.Lock()
	was, unwatch, tell := r.ended, r.unwatch, r.onEnd
	r.ended, r.onEnd = true, nil
	if !was {
		r.tally.end()
	}
	if r.patience != nil {
		r.patience.Stop()
	}
	r.mu.Unlock()
	if was {
		return
	}
	if unwatch != nil {
		unwatch()
	}
	r.cancel()
	r.forget(r)
	for _, f := range tell {
		f()
	}
}

// OnEnd has f called once when the run has ended, whatever ended it; at once when
// it has already. f may be called from any goroutine, and must not wait.
func (r *Run) OnEnd(f func()) {
	r.mu.Lock()
	ended := r.ended
	if !ended {
		r.onEnd = append(r.onEnd, f)
	}
	r.mu.Unlock()
	if ended {
		f()
	}
}

// Blocks returns how many different blocks the image has, which is what the run
// takes memory for.
func (r *Run) Blocks() int { return len(r.blocks) }

// Ended reports whether the run is over and its outcome final.
func (r *Run) Ended() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended
}

// Idle reports whether the run will read nothing more, though it may still wait for
// programs to ask for what it has read.
func (r *Run) Idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.idle || r.ended
}

// Outcome returns what came of the blocks read ahead so far.
func (r *Run) Outcome() Outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tally.Outcome
}
