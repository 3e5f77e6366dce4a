package tiers

import (
	"context"

	"github.com/zonecache/cached/block"
)

// An Admit decides whether a block that was read from below is offered to the
// tier above.
type Admit func(b block.Block) bool

// Always admits every block.
func Always(block.Block) bool { return true }

// ReadThrough returns a Reader that asks upper, on a miss reads lower, and offers
// what it got to upper if admit agrees. Any failure of upper, reading or
// writing, is a miss.
func ReadThrough(upper block.Store, lower block.Reader, admit Admit) block.Reader {
	return &readThrough{upper, lower, admit}
}

type readThrough struct {
	upper block.Store
	lower block.Reader
	admit Admit
}

func (r *readThrough) ReadBlock(ctx context.Context, id block.ID) (block.Block, error) {
	b, err := r.upper.ReadBlock(ctx, id)
	if err == nil {
		return b, nil
	}
	if ctx.Err() != nil {
		return block.Block{}, ctx.Err()
	}
	b, err = r.lower.ReadBlock(ctx, id)
	if err != nil {
		return block.Block{}, err
	}
	if r.admit(b) {
		// A tier that cannot keep the block must not fail the read.
		_ = r.upper.WriteBlock(ctx, b)
	}
	return b, nil
}

// Fallback returns a Reader that asks first and, whatever its failure, then
// second, whose answer is final.
func Fallback(first, second block.Reader) block.Reader {
	return &fallback{first, second}
}

type fallback struct{ first, second block.Reader }

func (f *fallback) ReadBlock(ctx context.Context, id block.ID) (block.Block, error) {
	b, err := f.first.ReadBlock(ctx, id)
	if err == nil {
		return b, nil
	}
	if ctx.Err() != nil {
		return block.Block{}, ctx.Err()
	}
	return f.second.ReadBlock(ctx, id)
}
