package image

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	chunkers "github.com/PlakarKorp/go-cdc-chunkers"
	_ "github.com/PlakarKorp/go-cdc-chunkers/chunkers/fastcdc" // registers the algorithm

	"github.com/zonecache/cached/block"
)

// A cut says how pieces are sized, in bytes. normal is a power of two, and about
// the average.
type cut struct {
	algorithm        string
	min, normal, max int
}

// defaultCut is what docs/adr/0001 chose by measuring. Changing it ends sharing
// with all images that are stored.
var defaultCut = cut{algorithm: "fastcdc-v1.0.0", min: 32 << 10, normal: 128 << 10, max: 512 << 10}

// A Cut says where an image is cut, and so how much comes when a byte of it is read.
type Cut int

// The cuts.
const (
	// CutContent cuts where the content says, every 128 KiB or so: what two images
	// share is shared wherever it lies in them.
	CutContent Cut = iota
	// CutPages cuts every 16 KiB, for bytes that are read here and there and lie at
	// the same places in every version: the memory of a machine.
	CutPages
)

// pages is the grid of CutPages.
const pages = 16 << 10

// window is the grid on which zeros are looked for.
const window = block.MaxSize

// A Piece is a run of the image that becomes one block.
type Piece struct {
	Bytes []byte // valid until the next call of Next
	// Zero: all of Bytes are zero, and it is a whole window.
	Zero bool
}

// A HoleReader is a source of bytes that knows where it has nothing but zeros.
type HoleReader interface {
	io.Reader
	// SkipHole skips the next n bytes and reports true when they are known to be
	// zeros, without reading them; else it does nothing. It may always say false:
	// zeros that are read are treated alike.
	SkipHole(n int64) (bool, error)
}

// A Cutter cuts a stream where its content says (FastCDC), so that a change moves
// the cuts around it and no others. Two more rules, both of content and offset
// alone, so that the same bytes are always cut alike:
//
//   - A whole aligned MiB of zeros is a piece of its own: sparse images cost the
//     scan of what they hold.
//   - A cut falls at each offset of starts, where the caller knows that something
//     begins which other images have as well.
type Cutter struct {
	chunker chunker
	feed    feed
}

// A chunker cuts a stretch; with its last piece it may return io.EOF.
type chunker interface {
	Next() ([]byte, error)
	Reset(io.Reader)
}

// A grid is a chunker that cuts at multiples of a length.
type grid struct {
	r   io.Reader
	buf []byte
}

var (
	_ chunker = (*chunkers.Chunker)(nil)
	_ chunker = (*grid)(nil)
)

// Next implements chunker.
func (g *grid) Next() ([]byte, error) {
	n, err := io.ReadFull(g.r, g.buf)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return g.buf[:n], err
}

// Reset implements chunker.
func (g *grid) Reset(r io.Reader) { g.r = r }

// NewCutter returns a Cutter of r. starts are ascending offsets in the image.
func NewCutter(r io.Reader, starts []int64) (*Cutter, error) {
	return newCutter(r, starts, defaultCut)
}

// newPages returns a Cutter of r by CutPages.
func newPages(r io.Reader) *Cutter {
	c := &Cutter{feed: newFeed(r, nil)}
	c.chunker = &grid{&c.feed, make([]byte, pages)}
	return c
}

func newCutter(r io.Reader, starts []int64, by cut) (*Cutter, error) {
	c := &Cutter{feed: newFeed(r, starts)}
	var err error
	c.chunker, err = chunkers.NewChunker(by.algorithm, &c.feed, &chunkers.ChunkerOpts{MinSize: by.min, NormalSize: by.normal, MaxSize: by.max})
	if err != nil {
		return nil, fmt.Errorf("image: cut: %w", err)
	}
	return c, nil
}

// Next returns the next piece, and io.EOF behind the last one.
func (c *Cutter) Next() (Piece, error) {
	for {
		// With io.EOF the library may also return the last piece of a stretch.
		p, err := c.chunker.Next()
		if err != nil && !errors.Is(err, io.EOF) {
			return Piece{}, err
		}
		if len(p) > 0 {
			return Piece{Bytes: p}, nil
		}
		switch {
		case c.feed.takeZeros():
			c.chunker.Reset(&c.feed)
			return Piece{Bytes: c.feed.window, Zero: true}, nil
		case c.feed.done():
			return Piece{}, io.EOF
		}
		c.chunker.Reset(&c.feed)
	}
}

// A feed hands the stream to the chunker in stretches: io.EOF ends each stretch,
// and done tells whether it was the last.
type feed struct {
	r      io.Reader
	holes  HoleReader // r, or nil
	starts []int64

	window  []byte
	rest    []byte // what of the window has not been handed out
	off     int64  // of rest in the image
	zeros   bool   // the window is whole and all zero
	drained bool   // r is at its end
}

func newFeed(r io.Reader, starts []int64) feed {
	f := feed{r: r, starts: starts, window: make([]byte, window)}
	f.holes, _ = r.(HoleReader)
	return f
}

// Read implements io.Reader for the chunker.
func (f *feed) Read(p []byte) (int, error) {
	if len(f.rest) == 0 && !f.zeros && !f.drained {
		if err := f.fill(); err != nil {
			return 0, err
		}
	}
	for len(f.starts) > 0 && f.starts[0] < f.off {
		f.starts = f.starts[1:]
	}
	if f.zeros || len(f.rest) == 0 {
		return 0, io.EOF
	}
	n := min(len(p), len(f.rest))
	if len(f.starts) > 0 {
		room := f.starts[0] - f.off
		if room == 0 {
			f.starts = f.starts[1:]
			return 0, io.EOF
		}
		n = int(min(int64(n), room))
	}
	copy(p, f.rest[:n])
	f.rest, f.off = f.rest[n:], f.off+int64(n)
	return n, nil
}

func (f *feed) fill() error {
	if f.holes != nil {
		skipped, err := f.holes.SkipHole(window)
		if err != nil {
			return err
		}
		if skipped {
			clear(f.window)
			f.zeros = true
			return nil
		}
	}
	n, err := io.ReadFull(f.r, f.window)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	f.drained = n < len(f.window)
	f.rest = f.window[:n]
	f.zeros = !f.drained && allZero(f.window)
	return nil
}

// takeZeros reports whether a window of zeros stands next, and moves behind it.
func (f *feed) takeZeros() bool {
	if !f.zeros {
		return false
	}
	f.zeros, f.rest = false, nil
	f.off += window
	return true
}

func (f *feed) done() bool { return f.drained && len(f.rest) == 0 }

// allZero compares p with itself, moved by one byte: equal means that all its
// bytes are the first one.
func allZero(p []byte) bool {
	return len(p) == 0 || p[0] == 0 && bytes.Equal(p[1:], p[:len(p)-1])
}
