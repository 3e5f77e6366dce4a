package tiers

import (
	"context"
	"fmt"

	"github.com/zonecache/cached/block"
)

// Verify returns a Reader that hashes every block next produces and turns one
// that is not what was asked for into [block.ErrCorrupt]. It stands where bytes
// enter the node; a block that passed it is not hashed again in memory.
func Verify(next block.Reader) block.Reader {
	return block.ReaderFunc(func(ctx context.Context, id block.ID) (block.Block, error) {
		b, err := next.ReadBlock(ctx, id)
		if err != nil {
			return block.Block{}, err
		}
		if got := block.Sum(b.Bytes()); got != id {
			from, n := b.From, b.Len()
			b.Release()
			return block.Block{}, fmt.Errorf("read %s from %s: got %d bytes that hash to %s: %w", id, from, n, got, block.ErrCorrupt)
		}
		if b.ID() != id { // right bytes under a wrong label: the medium is confused
			b.Release()
			return block.Block{}, fmt.Errorf("read %s: labelled %s: %w", id, b.ID(), block.ErrCorrupt)
		}
		return b, nil
	})
}
