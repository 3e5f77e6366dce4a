package main

import (
	"context"
	"fmt"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/prefetch"
)

// bring reads a block and has it in this host's L2, whoever owns it; where there is
// no L2, L1 has it if it keeps it.
func (n *node) bring(ctx context.Context, id block.ID) (block.Block, error) {
	b, err := n.reader.ReadBlock(ctx, id)
	if err != nil || n.l2 == nil {
		return b, err
	}
	if err := n.l2.Put(ctx, b); err != nil {
		b.Release()
		return block.Block{}, err
	}
	return b, nil
}

// keeps reports whether a block is where bring brings it.
func (n *node) keeps(id block.ID) bool {
	if n.l2 != nil {
		return n.l2.Has(id)
	}
	return n.l1.Has(id)
}

// room returns how many bytes what is brought may have at most.
func (n *node) room() int64 {
	if n.l2 != nil {
		return n.l2.Capacity()
	}
	return n.l1.Capacity()
}

// A tally is how much of some blocks a host has.
type tally struct {
	blocks, held     int
	bytes, heldBytes int64
	lacking          []prefetch.Block
}

// count looks which of some blocks has says are here.
func count(blocks []prefetch.Block, has func(block.ID) bool) tally {
	t := tally{blocks: len(blocks)}
	for _, b := range blocks {
		t.bytes += int64(b.Length)
		if !has(b.ID) {
			t.lacking = append(t.lacking, b)
			continue
		}
		t.add(b)
	}
	return t
}

func (t *tally) add(b prefetch.Block) {
	t.held++
	t.heldBytes += int64(b.Length)
}

// errNotKept: blocks came and did not stay.
var errNotKept = fmt.Errorf("blocks came and were not kept: %w", block.ErrUnavailable)

// bringAll brings what this host lacks of blocks, n at a time behind all other reads,
// and calls done with how much it has after each. The error says what was missing in
// the end.
func (n *node) bringAll(ctx context.Context, blocks []prefetch.Block, done func(tally)) error {
	now := count(blocks, n.keeps)
	done(now)
	if now.bytes > n.room() {
		return fmt.Errorf("%s are wanted, the cache they would be kept in has %s: %w", bytesText(now.bytes), bytesText(n.room()), block.ErrOverloaded)
	}
	err := prefetch.Warm(ctx, block.ReaderFunc(n.bring), now.lacking, warmedAtOnce, func(b prefetch.Block) {
		now.add(b)
		done(now)
	})
	after := count(blocks, n.keeps)
	done(after)
	if err == nil && after.held < after.blocks {
		err = fmt.Errorf("%d of %d: %w", after.blocks-after.held, after.blocks, errNotKept)
	}
	return err
}
