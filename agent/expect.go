package agent

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecache/cached/block"
)

// What a start is expected to read is fetched and decoded ahead of its program.
const (
	expectWithin = 15 * time.Second // for the daemon to say
	expectShare  = 4                // one in so many bytes of the window may be there unused
	expectWrong  = 16               // blocks dropped unused, and more than one in expectRight used: it is given up
	expectRight  = 4
	expectAtOnce = 8                // fetches: more would only take the processor from the program
	expectQuiet  = 10 * time.Second // without any being used, and it is given up
	// heldMisses is how many blocks a program that should find its pages may ask for
	// before they count as gone: the kernel reclaims what it needs the memory of.
	heldMisses = 16
)

// expect fetches what earlier starts of the workload have read into the window,
// ahead of the program: the daemon brings the blocks to this host, and this has
// them decoded by the time the program comes. It goes as far ahead as the window
// has room for what nobody has used yet.
type expect struct {
	cancel  context.CancelFunc
	work    sync.WaitGroup
	running atomic.Bool
	misses  atomic.Int64  // blocks that a program had to wait for
	missing chan struct{} // has one element when these are too many for pages that are held
}

// guided reports whether what is fetched ahead is known, so that it need not be
// guessed: the program uses nearly all of it.
func (img *Image) guided() bool {
	return img.expect.running.Load() && img.window.right.Load() > expectRight*img.window.wrong.Load()
}

// start begins, in an image that is about to be handed out.
func (e *expect) start(img *Image) {
	if img.opts.Ahead < 0 || img.touches.session == "" {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	e.work.Go(func() {
		if img.opts.PagesHeld {
			select {
			case <-e.missing:
			case <-ctx.Done():
				return
			}
		}
		asking, done := context.WithTimeout(ctx, expectWithin)
		blocks, err := img.touches.daemon.ExpectBlocks(asking, img.touches.session)
		done()
		if err == nil { // a daemon that knows nothing of it is no reason to complain
			img.runAhead(ctx, blocks)
		}
	})
}

// missed notes that a program waits for a block.
func (e *expect) missed() {
	if e.misses.Add(1) == heldMisses {
		e.missing <- struct{}{}
	}
}

// stop ends it: the program is ready.
func (e *expect) stop() {
	if e.cancel != nil {
		e.cancel()
	}
}

func (e *expect) close() {
	e.stop()
	e.work.Wait()
}

// runAhead fetches blocks, by their indexes, as far as there is room.
func (img *Image) runAhead(ctx context.Context, blocks []uint32) {
	if len(blocks) == 0 {
		return
	}
	img.expect.running.Store(true)
	defer img.expect.running.Store(false)
	refs := img.Manifest().Blocks
	call := img.call
	call.Cause = block.Prefetch
	fetching := block.WithCall(ctx, call)
	quiet := time.NewTimer(expectQuiet)
	defer quiet.Stop()
	for _, i := range blocks {
		if int(i) >= len(refs) || img.touched(int(i)) {
			continue
		}
		for !img.window.room(img.window.budget/expectShare, expectAtOnce) {
			select {
			case <-img.window.moved:
				quiet.Reset(expectQuiet)
			case <-quiet.C:
				return
			case <-ctx.Done():
				return
			}
		}
		if wrong := img.window.wrong.Load(); ctx.Err() != nil || wrong >= expectWrong && expectRight*wrong > img.window.right.Load() {
			return
		}
		if img.window.expect(fetching, refs[i]) {
			img.counts.ahead.Add(1)
		}
	}
}
