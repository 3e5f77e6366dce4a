package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/image"
)

// An Image is the bytes of an image, opened for one start.
type Image struct {
	opts    Options
	id      block.ID
	stale   bool
	touches touches
	expect  expect
	call    block.Call

	patience patience
	source   *source
	reader   *image.Reader
	window   *window
	seen     []atomic.Uint32 // a bit for each block that was asked for
	pattern  *pattern
	counts   counts
	over     atomic.Bool // the daemon was told that the start is
}

var _ io.ReaderAt = (*Image)(nil)

// closeWithin bounds what Close asks of the daemon.
const closeWithin = 2 * time.Second

// newImage takes the manifest that was found.
func newImage(o Options, s *source, m *image.Manifest) (*Image, error) {
	img := &Image{opts: o, source: s, pattern: newPattern(o.Ahead), patience: patience{deadline: o.Deadline}}
	img.expect.missing = make(chan struct{}, 1)
	var err error
	if img.id, err = m.ID(); err != nil {
		return nil, err
	}
	img.seen = make([]atomic.Uint32, (len(m.Blocks)+31)/32)
	img.call = block.Call{Image: o.Image, Workload: o.Workload}
	if img.reader, err = image.NewReader(m, img.counted(s), image.ReaderOptions{Keep: -1, Pool: o.Pool}); err != nil {
		return nil, err
	}
	var quiet func()
	if o.Pool != nil {
		quiet = o.Pool.Trim
	}
	img.window, err = newWindow(o.Window, func(ctx context.Context, ref image.BlockRef) (block.Block, error) {
		demand := block.CallFrom(ctx).Cause == block.Demand
		if demand {
			img.expect.missed()
		}
		b, err := img.reader.Decoded(ctx, ref)
		if err != nil && !errors.Is(ctx.Err(), context.Canceled) && demand {
			o.Logger.Error("a block cannot be had", "image", o.Image, "block", ref.ID, "error", err)
		}
		return b, err
	}, quiet)
	return img, err
}

// Name returns the name or id by which the image was opened.
func (img *Image) Name() string { return img.opts.Image }

// ID returns the manifest's id.
func (img *Image) ID() block.ID { return img.id }

// Manifest returns what the image consists of; it must not be changed.
func (img *Image) Manifest() *image.Manifest { return img.reader.Manifest() }

// Size returns the bytes of the image.
func (img *Image) Size() int64 { return img.reader.Size() }

// Stale reports that the origin could not be asked, so that the name may point at
// something newer.
func (img *Image) Stale() bool { return img.stale }

// ReadAt implements [io.ReaderAt] without a context.
func (img *Image) ReadAt(p []byte, off int64) (int, error) {
	return img.ReadAtContext(context.Background(), p, off)
}

// ReadAtContext fills p with the image's bytes from off on. As [io.ReaderAt] has
// it, fewer than len(p) come with an error: io.EOF where the image ends, an
// *image.RangeError for a negative offset, else an error of [block.Reader] that
// names the block, at the latest after the deadline of the options.
func (img *Image) ReadAtContext(ctx context.Context, p []byte, off int64) (int, error) {
	m := img.Manifest()
	if off < 0 {
		return 0, &image.RangeError{Offset: off, Length: int64(len(p)), Size: m.Size}
	}
	if len(p) == 0 {
		return 0, nil
	}
	if off >= m.Size {
		return 0, io.EOF
	}
	var end error
	if rest := m.Size - off; int64(len(p)) > rest {
		p, end = p[:rest], io.EOF
	}
	ctx = block.WithCall(ctx, img.call)
	first, within := m.Locate(off)
	last, _ := m.Locate(off + int64(len(p)) - 1)
	by, again := img.patience.by(first, last)
	if last > first { // all at once, whether they are read one by one or not
		img.window.fetchAhead(ctx, m.Blocks[first:last+1], by)
	}
	n := 0
	for i := first; i <= last; i++ {
		b, err := img.block(ctx, i, by)
		if err != nil {
			if errors.Is(err, block.ErrUnavailable) && !again {
				from, _ := m.Locate(max(off-around, 0))
				to, _ := m.Locate(min(off+int64(len(p))+around, m.Size) - 1)
				img.patience.ranOut(from, to)
			}
			return 0, err
		}
		n += copy(p[n:], b.Bytes()[within:])
		b.Release()
		within = 0
	}
	return n, end
}

// block returns the decoded block i, which has to be here by then, and has those behind
// it fetched that are likely to be wanted.
func (img *Image) block(ctx context.Context, i int, by time.Time) (block.Block, error) {
	refs := img.Manifest().Blocks
	img.seen[i/32].Or(1 << (i % 32))
	from, to := img.pattern.touched(i, len(refs))
	if from < to && !img.guided() {
		call := img.call
		call.Cause = block.Prefetch
		n := img.window.fetchAhead(block.WithCall(ctx, call), refs[from:to], time.Time{})
		img.pattern.ahead(n)
		img.counts.ahead.Add(int64(n))
	}
	b, ahead, err := img.window.get(ctx, refs[i], by)
	if ahead && err == nil {
		img.pattern.hit()
		img.counts.aheadUsed.Add(1)
		img.touches.add(i)
	}
	return b, err
}

// touched reports whether block i was asked for.
func (img *Image) touched(i int) bool { return img.seen[i/32].Load()&(1<<(i%32)) != 0 }

// CopyRange writes length bytes from off on to w, in order, reading ahead. A range
// beyond the image is an *image.RangeError and writes nothing.
func (img *Image) CopyRange(ctx context.Context, w io.Writer, off, length int64) (int64, error) {
	return img.reader.CopyRange(block.WithCall(ctx, img.call), w, off, length)
}

// MarkReady tells the daemon that the program is ready: what it reads from now on
// is not what its starts need, so that later ones have less to wait for. Without it
// a start counts as over when nothing new was read for ten seconds.
func (img *Image) MarkReady(ctx context.Context) error {
	if img.touches.session == "" {
		return nil // opened without the daemon
	}
	img.expect.stop()
	img.touches.flush()
	return img.opts.Daemon.MarkReady(ctx, img.touches.session)
}

// Rest ends the start, and with it the daemon's session, and gives back the memory of
// what was read. The image can be read all the same, by whoever still has to.
func (img *Image) Rest() {
	img.expect.close()
	img.touches.close()
	img.window.rest()
	img.endSession()
}

// endSession tells the daemon that the start is over, once.
func (img *Image) endSession() {
	if img.touches.session == "" || img.over.Swap(true) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	_ = img.opts.Daemon.CloseSession(ctx, img.touches.session) // a daemon that is gone has forgotten it
}

// Close ends the daemon's session and frees what the image holds. Nobody may be
// reading any more.
func (img *Image) Close() error {
	img.expect.close()
	img.window.close()
	img.touches.close()
	img.source.close()
	err := img.reader.Close()
	img.endSession()
	return err
}

// counts are kept by the readers of an image.
type counts struct {
	served    [len(block.Tiers)]atomic.Int64 // blocks, by tier
	bytes     [len(block.Tiers)]atomic.Int64
	failed    atomic.Int64
	ahead     atomic.Int64
	aheadUsed atomic.Int64
}

// Stats are what an image has read so far.
type Stats struct {
	Blocks    map[block.Tier]int64 // by the tier that served them; the origin's include those read without the daemon
	Bytes     map[block.Tier]int64 // of their stored form
	Failed    int64                // reads of a block that failed
	Ahead     int64                // blocks fetched ahead of a program
	AheadUsed int64                // of them, those that a program has read since
}

// Stats returns what has been read so far.
func (img *Image) Stats() Stats {
	s := Stats{Blocks: map[block.Tier]int64{}, Bytes: map[block.Tier]int64{}}
	for i, t := range block.Tiers {
		if n := img.counts.served[i].Load(); n > 0 {
			s.Blocks[t], s.Bytes[t] = n, img.counts.bytes[i].Load()
		}
	}
	s.Failed, s.Ahead, s.AheadUsed = img.counts.failed.Load(), img.counts.ahead.Load(), img.counts.aheadUsed.Load()
	return s
}

// counted counts what next serves.
func (img *Image) counted(next block.Reader) block.Reader {
	return block.ReaderFunc(func(ctx context.Context, id block.ID) (block.Block, error) {
		b, err := next.ReadBlock(ctx, id)
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				img.counts.failed.Add(1)
			}
			return b, err
		}
		for i, t := range block.Tiers {
			if t == b.From {
				img.counts.served[i].Add(1)
				img.counts.bytes[i].Add(int64(b.Len()))
			}
		}
		return b, nil
	})
}

// String names the image and its manifest.
func (img *Image) String() string { return fmt.Sprintf("%s (%s)", img.opts.Image, img.id.Short()) }
