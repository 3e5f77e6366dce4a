package origin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/zonecache/cached/block"
)

// slowRead is how long a read must have waited in vain before the end of its
// caller's patience counts against the origin.
const slowRead = time.Second

// A failover asks its readers in order until one serves the block. It is
// complete before its first read.
type failover struct {
	names    []string
	readers  []block.Reader
	circuits []*circuit
	log      *slog.Logger
}

var _ block.Reader = (*failover)(nil)

func (f *failover) add(name string, r block.Reader) {
	f.names = append(f.names, name)
	f.readers = append(f.readers, r)
	f.circuits = append(f.circuits, &circuit{})
}

// ReadBlock implements [block.Reader].
func (f *failover) ReadBlock(ctx context.Context, id block.ID) (block.Block, error) {
	return firstAnswer(ctx, f, func(i int) (block.Block, error) {
		return f.readers[i].ReadBlock(ctx, id)
	})
}

// firstAnswer asks the origins in order for the first that answers without an
// error. Origins in a pause come last, and only those that have not failed for
// long.
func firstAnswer[T any](ctx context.Context, f *failover, ask func(i int) (T, error)) (T, error) {
	var zero T
	outcomes := make([]error, len(f.readers))
	var later []int
	for i, c := range f.circuits {
		if desperate, why := c.enter(time.Now()); why != nil {
			outcomes[i] = fmt.Errorf("%w (not asked again yet)", why)
			if desperate {
				later = append(later, i)
			}
			continue
		}
		v, err := try(ctx, f, i, ask)
		if err == nil || ctx.Err() != nil {
			return v, err
		}
		outcomes[i] = err
	}
	for _, i := range later {
		v, err := try(ctx, f, i, ask)
		if err == nil || ctx.Err() != nil {
			return v, err
		}
		outcomes[i] = err
	}
	return zero, verdict(outcomes)
}

// try asks one origin and keeps the books of its circuit.
func try[T any](ctx context.Context, f *failover, i int, ask func(i int) (T, error)) (T, error) {
	started := time.Now()
	v, err := ask(i)
	switch {
	case err != nil && ctx.Err() != nil && !isKind(err):
		// The caller left. That says nothing about the origin, unless the
		// caller's deadline is shorter than our time-outs for one that hangs.
		if errors.Is(ctx.Err(), context.DeadlineExceeded) && time.Since(started) >= slowRead {
			f.failed(ctx, i, fmt.Errorf("origin %s: no answer within %v: %w",
				f.names[i], time.Since(started).Round(time.Millisecond), block.ErrUnavailable))
		}
		if !errors.Is(err, ctx.Err()) {
			err = fmt.Errorf("origin %s: %w", f.names[i], ctx.Err())
		}
	case failing(err):
		f.failed(ctx, i, err)
	default: // it answered, though perhaps that it has no such block or a bad one
		if f.circuits[i].succeeded() {
			f.log.InfoContext(ctx, "origin is back", "origin", f.names[i])
		}
	}
	return v, err
}

func (f *failover) failed(ctx context.Context, i int, err error) {
	if f.circuits[i].failed(time.Now(), err) {
		f.log.WarnContext(ctx, "origin fails", "origin", f.names[i], "error", err)
	}
}

// failing reports whether err says that the origin, not the block, is bad.
func failing(err error) bool {
	return err != nil && !errors.Is(err, block.ErrNotFound) && !errors.Is(err, block.ErrCorrupt)
}

// verdict makes one error, of one kind, of what all origins said: while one of
// them could not be asked, the block may exist; where all that have it have it
// wrong, it is corrupt.
func verdict(outcomes []error) error {
	if len(outcomes) == 1 {
		return outcomes[0]
	}
	worst := 0
	for i, err := range outcomes {
		if rank(err) > rank(outcomes[worst]) {
			worst = i
		}
	}
	var others strings.Builder
	for i, err := range outcomes {
		if i != worst {
			others.WriteString("; and " + err.Error())
		}
	}
	return fmt.Errorf("%w%s", outcomes[worst], others.String())
}

func rank(err error) int {
	switch {
	case errors.Is(err, block.ErrNotFound):
		return 0
	case errors.Is(err, block.ErrCorrupt):
		return 1
	case errors.Is(err, block.ErrOverloaded):
		return 2
	}
	return 3
}
