package tiers

import (
	"context"

	"github.com/zonecache/cached/block"
)

// Choose returns a Reader that asks yes for the blocks that pick picks, and no
// for the others.
func Choose(pick func(block.ID) bool, yes, no block.Reader) block.Reader {
	return block.ReaderFunc(func(ctx context.Context, id block.ID) (block.Block, error) {
		if pick(id) {
			return yes.ReadBlock(ctx, id)
		}
		return no.ReadBlock(ctx, id)
	})
}
