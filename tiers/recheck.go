package tiers

import (
	"context"
	"fmt"

	"github.com/zonecache/cached/block"
)

// Recheck returns s for a second look at blocks that s was asked for a moment before,
// as a flight takes it at the caches above it: s is read only for the blocks that has
// names. A store that learns what is worth keeping from what it is asked for, as
// TinyLFU does, would otherwise count a miss for two uses and a hit for one, and keep
// what it misses rather than what it has (docs/adr/0023-a-miss-is-one-use.md).
func Recheck(s block.Store, has func(block.ID) bool) block.Store { return recheck{s, has} }

type recheck struct {
	block.Store
	has func(block.ID) bool
}

func (r recheck) ReadBlock(ctx context.Context, id block.ID) (block.Block, error) {
	if !r.has(id) {
		return block.Block{}, fmt.Errorf("read %s again: %w", id, block.ErrNotFound)
	}
	return r.Store.ReadBlock(ctx, id)
}
