package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/image"
)

// maxPieces bounds the entries of a window, whatever their sizes.
const maxPieces = 1 << 16

var errClosed = errors.New("the image is closed")

// A window keeps the decoded blocks that were used last, within a budget of bytes,
// and shares one fetch among all who want the same block. Its key is the whole
// reference and not the id: the same stored bytes can be raw in one place and
// compressed in another.
type window struct {
	fetch  func(ctx context.Context, ref image.BlockRef) (block.Block, error)
	budget int64
	quiet  func()          // called when nobody has read for a while; nil: nobody wants to know
	ctx    context.Context //nolint:containedctx // of fetches, which outlive the reader who began them
	cancel context.CancelFunc
	work   sync.WaitGroup

	unused atomic.Int64  // bytes of pieces that are expected to be used, and were not yet
	flying atomic.Int64  // of these pieces, on their way
	right  atomic.Int64  // how many of them were used
	wrong  atomic.Int64  // how many were dropped unused
	moved  chan struct{} // has one element after one of the two has fallen

	mu     sync.Mutex
	pieces *simplelru.LRU[image.BlockRef, *piece]
	bytes  int64
	closed bool
	used   bool // since it was last looked at
}

// forgetAfter is about how long a window that nobody reads keeps its blocks: a host
// has hundreds of images mounted whose programs have long read what they need.
const forgetAfter = 30 * time.Second

// A piece is a block in the window, or on its way there. window.mu guards it until
// done is closed; from then on each reader who waited owns a reference to b.
type piece struct {
	done    chan struct{}
	landed  bool
	kept    bool // in the window
	readers int
	begun   block.Cause
	until   time.Time   // when the fetch ends at the latest; zero: nobody has said
	ahead   atomic.Bool // fetched ahead, and not used yet
	counts  atomic.Bool // among the window's unused
	// expected: it was fetched by expect. Set before the fetch begins.
	expected bool
	b        block.Block
	err      error
}

// wasAhead reports whether nobody has used what was fetched ahead before.
func (w *window) wasAhead(ref image.BlockRef, p *piece) bool {
	if !p.ahead.Load() || !p.ahead.Swap(false) {
		return false
	}
	if p.counts.Swap(false) {
		w.unused.Add(-int64(ref.Length))
		w.right.Add(1)
		w.tellMoved()
	}
	return true
}

// neverUsed notes that a piece is dropped, which somebody may have expected in vain.
func (w *window) neverUsed(ref image.BlockRef, p *piece) {
	p.ahead.Store(false)
	if p.counts.Swap(false) {
		w.unused.Add(-int64(ref.Length))
		w.wrong.Add(1)
		w.tellMoved()
	}
}

func (w *window) tellMoved() {
	select {
	case w.moved <- struct{}{}:
	default:
	}
}

// room reports whether there is less than so much that is expected to be used, and
// fewer pieces of it on their way.
func (w *window) room(unused, flying int64) bool {
	return w.unused.Load() < unused && w.flying.Load() < flying
}

// newWindow returns an empty window.
func newWindow(budget int64, fetch func(context.Context, image.BlockRef) (block.Block, error), quiet func()) (*window, error) {
	w := &window{fetch: fetch, budget: budget, quiet: quiet, moved: make(chan struct{}, 1)}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	var err error
	w.pieces, err = simplelru.NewLRU(maxPieces, func(ref image.BlockRef, p *piece) { w.droppedLocked(ref, p) })
	if err == nil {
		w.work.Go(w.forget)
	}
	return w, err
}

// forget drops all blocks when nobody has read any for a while.
func (w *window) forget() {
	tick := time.NewTicker(forgetAfter)
	defer tick.Stop()
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-tick.C:
		}
		w.mu.Lock()
		quiet := !w.used
		w.used = false
		w.mu.Unlock()
		if quiet {
			w.rest()
		}
	}
}

// rest drops all blocks now.
func (w *window) rest() {
	w.mu.Lock()
	w.pieces.Purge()
	w.mu.Unlock()
	if w.quiet != nil {
		w.quiet()
	}
}

// droppedLocked is called by w.pieces, within calls that hold mu.
func (w *window) droppedLocked(ref image.BlockRef, p *piece) {
	p.kept = false
	w.bytes -= int64(ref.Length)
	w.neverUsed(ref, p)
	if p.landed && p.err == nil {
		p.b.Release()
	}
}

// get returns the block of ref, which the caller releases, and whether it is the
// first to use what was fetched ahead. It fails at by, also where it has waited for
// somebody else's fetch before it began its own.
func (w *window) get(ctx context.Context, ref image.BlockRef, by time.Time) (b block.Block, ahead bool, err error) {
	for {
		p, err := w.join(ctx, ref, by)
		if err != nil {
			return block.Block{}, false, err
		}
		if err := w.wait(ctx, p, by); err != nil {
			if ctx.Err() == nil {
				err = fmt.Errorf("read %s: it did not come in time: %w", ref.ID, block.ErrUnavailable)
			}
			return block.Block{}, false, err
		}
		if p.err == nil || p.begun == block.Demand && (final(p.err) || !p.until.Before(by)) {
			return p.b, w.wasAhead(ref, p), p.err
		}
		// Nobody tried hard for a block that was fetched ahead, nor as long as this reader
		// has time for one that was begun by a hurried read.
	}
}

// wait waits until the piece has landed; an error: the reader has left it before. A
// fetch that ends in time says more of why it failed than its reader could.
func (w *window) wait(ctx context.Context, p *piece, by time.Time) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if p.until.IsZero() || p.until.After(by) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, by)
		defer cancel()
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		if w.leave(p) {
			return ctx.Err()
		}
		<-p.done // it landed first, so a reference is ours
	}
	return nil
}

// join returns the piece of ref with a place among its readers, and begins to
// fetch it, until by, where nobody does.
func (w *window) join(ctx context.Context, ref image.BlockRef, by time.Time) (*piece, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, errClosed
	}
	w.used = true
	p, ok := w.pieces.Get(ref)
	switch {
	case !ok:
		p = w.beginLocked(ctx, ref, by)
		p.readers++
	case p.landed:
		p.b.Retain()
	default:
		p.readers++
	}
	return p, nil
}

// leave gives up a place and reports whether it could: a reader of a piece that
// has landed has been given a reference and must take it.
func (w *window) leave(p *piece) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.landed {
		return false
	}
	p.readers--
	return true
}

// fetchAhead begins to fetch the blocks of refs that are not here, and returns how
// many. The call of ctx says whether a program waits for them, and by until when; zero:
// nobody has said.
func (w *window) fetchAhead(ctx context.Context, refs []image.BlockRef, by time.Time) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, ref := range refs {
		if w.closed || w.pieces.Contains(ref) {
			continue
		}
		w.beginLocked(ctx, ref, by)
		n++
	}
	return n
}

// expect begins to fetch a block that a program is expected to use, unless it is
// here.
func (w *window) expect(ctx context.Context, ref image.BlockRef) (begun bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.pieces.Contains(ref) {
		return false
	}
	w.unused.Add(int64(ref.Length))
	w.flying.Add(1)
	p := &piece{expected: true}
	p.counts.Store(true)
	w.fetchLocked(ctx, ref, p)
	return true
}

// beginLocked begins to fetch. It goes on when the one who wanted the block leaves.
func (w *window) beginLocked(ctx context.Context, ref image.BlockRef, by time.Time) *piece {
	p := &piece{until: by}
	w.fetchLocked(ctx, ref, p)
	return p
}

func (w *window) fetchLocked(ctx context.Context, ref image.BlockRef, p *piece) {
	call := block.CallFrom(ctx)
	p.done, p.kept, p.begun = make(chan struct{}), true, call.Cause
	p.ahead.Store(call.Cause != block.Demand)
	w.bytes += int64(ref.Length)
	w.pieces.Add(ref, p)
	for w.bytes > w.budget && w.pieces.Len() > 1 {
		w.pieces.RemoveOldest()
	}
	w.work.Go(func() {
		fetching, cancel := block.WithCall(w.ctx, call), func() {}
		if !p.until.IsZero() {
			fetching, cancel = context.WithDeadline(fetching, p.until)
		}
		b, err := w.fetch(fetching, ref)
		cancel()
		w.land(ref, p, b, err)
		if p.expected {
			w.flying.Add(-1)
			w.tellMoved()
		}
	})
}

// land gives what was fetched to those who wait, and keeps it.
func (w *window) land(ref image.BlockRef, p *piece, b block.Block, err error) {
	w.mu.Lock()
	p.b, p.err, p.landed = b, err, true
	if err != nil {
		if now, ok := w.pieces.Peek(ref); ok && now == p {
			w.pieces.Remove(ref)
		}
	} else {
		for range p.readers {
			b.Retain()
		}
		if !p.kept {
			b.Release()
		}
	}
	w.mu.Unlock()
	close(p.done)
}

// close ends the fetches and forgets all blocks.
func (w *window) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.cancel()
	w.work.Wait()
	w.mu.Lock()
	w.pieces.Purge()
	w.mu.Unlock()
}
