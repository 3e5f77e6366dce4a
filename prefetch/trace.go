package prefetch

import (
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/zonecache/cached/block"
)

// Limits of a trace.
const (
	// MaxTouches is how many first touches a trace has: the blocks of an image of 128
	// GiB. A start that touches more of an image is no start any more.
	MaxTouches = 1 << 20
	// MaxWorkload is the longest workload in bytes, as in a request.
	MaxWorkload = 255
	// maxAfter is the latest a touch may come after the start began.
	maxAfter = math.MaxUint32 * time.Millisecond
)

// ErrTrace: the bytes are no trace this program can use.
var ErrTrace = errors.New("invalid trace")

// A Trace is what one start read of its image: which blocks, in the order of their
// first touch, and when. It holds no content and no names of files.
type Trace struct {
	Image    block.ID // the manifest
	Workload string
	Began    time.Time // to the millisecond
	Blocks   uint32    // of the image
	Touches  []Touch
}

// A Touch is the first read of a block.
type Touch struct {
	Block uint32        // its index in the image
	After time.Duration // since the start began, to the millisecond; never less than the one before
}

// Check returns why t is none, or nil. The error matches ErrTrace.
func (t *Trace) Check() error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%w: %w", ErrTrace, fmt.Errorf(format, args...))
	}
	switch {
	case t.Image.IsZero():
		return fail("it names no image")
	case len(t.Workload) > MaxWorkload || !utf8.ValidString(t.Workload):
		return fail("workload of %d bytes, want at most %d in UTF-8", len(t.Workload), MaxWorkload)
	case t.Blocks > MaxTouches:
		return fail("an image of %d blocks, of at most %d starts are recorded", t.Blocks, MaxTouches)
	case len(t.Touches) > MaxTouches:
		return fail("%d touches, at most %d are allowed", len(t.Touches), MaxTouches)
	case len(t.Touches) > int(t.Blocks):
		return fail("%d first touches of %d blocks", len(t.Touches), t.Blocks)
	case t.Began.UnixMilli() < 0 || t.Began.UnixMilli() > maxBegan:
		return fail("it began at %s", t.Began)
	}
	seen := make([]uint64, (t.Blocks+63)/64)
	var last time.Duration
	for i, touch := range t.Touches {
		switch {
		case touch.Block >= t.Blocks:
			return fail("touch %d is of block %d, the image has %d", i, touch.Block, t.Blocks)
		case seen[touch.Block/64]&(1<<(touch.Block%64)) != 0:
			return fail("touch %d is of block %d, which was touched before", i, touch.Block)
		case touch.After < last || touch.After > maxAfter:
			return fail("touch %d comes %v after the start, the one before %v", i, touch.After, last)
		}
		seen[touch.Block/64] |= 1 << (touch.Block % 64)
		last = touch.After
	}
	return nil
}

// maxBegan is the end of the year 9999, which is as far as texts of times go.
const maxBegan = 253402300799999
