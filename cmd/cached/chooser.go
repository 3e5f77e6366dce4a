package main

import (
	"context"
	"fmt"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/prefetch"
)

// A chooser knows which blocks of an image are wanted before anybody asks.
type chooser struct{ node *node }

// scopeOf returns the scope that is meant.
func scopeOf(scope cachedv1.PreparationScope) (cachedv1.PreparationScope, error) {
	if scope == cachedv1.PreparationScope_PREPARATION_SCOPE_UNSPECIFIED {
		return cachedv1.PreparationScope_PREPARATION_SCOPE_ESSENTIAL, nil
	}
	if cachedv1.PreparationScope_name[int32(scope)] == "" {
		return scope, fmt.Errorf("%w: scope %d is not known to this daemon", api.ErrInvalid, scope)
	}
	return scope, nil
}

// wanted returns the blocks of an image that are wanted, each once: those of
// any workload, or all where none has started.
func (c chooser) wanted(ctx context.Context, manifest block.ID, scope cachedv1.PreparationScope) ([]prefetch.Block, error) {
	blocks, err := c.node.catalog.blocks(ctx, manifest)
	if err != nil {
		return nil, err
	}
	order := []uint32{}
	if scope == cachedv1.PreparationScope_PREPARATION_SCOPE_ESSENTIAL {
		if order, err = c.essential(ctx, manifest); err != nil {
			return nil, err
		}
	}
	if len(order) == 0 {
		for i := range blocks {
			order = append(order, uint32(i))
		}
	}
	seen := make(map[block.ID]bool, len(order))
	wanted := make([]prefetch.Block, 0, len(order))
	for _, i := range order {
		if int(i) < len(blocks) && !seen[blocks[i].ID] {
			seen[blocks[i].ID] = true
			wanted = append(wanted, blocks[i])
		}
	}
	return wanted, nil
}

// essential returns what the recorded workloads of an image read, one after the
// other.
func (c chooser) essential(ctx context.Context, manifest block.ID) (order []uint32, err error) {
	recorded, err := recordedWorkloads(ctx, c.node, manifest)
	for _, w := range recorded {
		order = append(order, w.blocks...)
	}
	return order, err
}
