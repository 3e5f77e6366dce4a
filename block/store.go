package block

import (
	"context"
	"errors"
)

// A Reader produces blocks. Tiers, chains of tiers and remote nodes are all
// Readers.
//
// ReadBlock has two outcomes, never both and never neither:
//
//  1. A Block with one reference, which the caller releases, whose bytes hash
//     to id, and whose From says who served this reader.
//  2. An error that matches [ErrNotFound], [ErrCorrupt], [ErrUnavailable],
//     [ErrOverloaded] or ctx's error; where access is controlled, also
//     [ErrUnauthenticated] or [ErrDenied].
//
// A caller whose context ends gets its error at once and disturbs no other
// caller.
type Reader interface {
	ReadBlock(ctx context.Context, id ID) (Block, error)
}

// A Writer accepts offers of blocks.
//
// WriteBlock borrows b for the call and retains it if it keeps it. It may
// decline silently (nil) because the block is not worth keeping or too much is
// on its way already; it never waits for a slow medium.
type Writer interface {
	WriteBlock(ctx context.Context, b Block) error
}

// A Store is a Reader that can be filled.
type Store interface {
	Reader
	Writer
}

// The closed set of failures a Reader reports, always wrapped with the subject.
var (
	// ErrNotFound: the tier does not hold the block. In an upper tier this is a
	// miss; from the whole chain it means no such block exists anywhere.
	ErrNotFound = errors.New("not found")
	// ErrCorrupt: bytes were found but are not the block that was asked for.
	ErrCorrupt = errors.New("corrupt")
	// ErrUnavailable: the medium did not answer; the block may exist.
	ErrUnavailable = errors.New("unavailable")
	// ErrOverloaded: the medium refuses work for now; try again later.
	ErrOverloaded = errors.New("overloaded")
	// ErrUnauthenticated: the reader did not prove who it is. No tier says this.
	ErrUnauthenticated = errors.New("unauthenticated")
	// ErrDenied: the reader may not have the block, whether it exists or not. No
	// tier says this.
	ErrDenied = errors.New("permission denied")
)

// ReaderFunc makes a Reader of a function.
type ReaderFunc func(ctx context.Context, id ID) (Block, error)

// ReadBlock calls f.
func (f ReaderFunc) ReadBlock(ctx context.Context, id ID) (Block, error) { return f(ctx, id) }
