// Package blocktest holds what tests of Readers and Stores share: a conformance
// suite every Store passes, a scriptable Store for faults, and generators of
// blocks.
package blocktest

import (
	"context"
	"fmt"
	"sync"

	"github.com/zonecache/cached/block"
)

// A Fake is a Store in memory whose behaviour a test scripts through its
// fields, which must be set before the first call.
type Fake struct {
	Tier    block.Tier                                   // what served blocks are labelled with
	Before  func(ctx context.Context, id block.ID) error // runs before each read; an error is the read's result
	Deliver func(b block.Block) block.Block              // may replace what a read returns, for lying media
	Decline func(b block.Block) bool                     // true: WriteBlock keeps nothing

	mu     sync.Mutex
	blocks map[block.ID]block.Block
	reads  map[block.ID]int
	writes int
}

var _ block.Store = (*Fake)(nil)

// NewFake returns a Fake of the given tier that holds blocks, taking over the
// caller's references.
func NewFake(tier block.Tier, blocks ...block.Block) *Fake {
	f := &Fake{Tier: tier, blocks: map[block.ID]block.Block{}, reads: map[block.ID]int{}}
	for _, b := range blocks {
		f.blocks[b.ID()] = b
	}
	return f
}

// ReadBlock implements [block.Reader].
func (f *Fake) ReadBlock(ctx context.Context, id block.ID) (block.Block, error) {
	f.mu.Lock()
	f.reads[id]++
	f.mu.Unlock()
	if f.Before != nil {
		if err := f.Before(ctx, id); err != nil {
			return block.Block{}, err
		}
	}
	if err := ctx.Err(); err != nil {
		return block.Block{}, err
	}
	f.mu.Lock()
	b, ok := f.blocks[id]
	if ok {
		b = b.Retain()
	}
	f.mu.Unlock()
	if !ok {
		return block.Block{}, fmt.Errorf("fake %s: read %s: %w", f.Tier, id, block.ErrNotFound)
	}
	if f.Deliver != nil {
		b = f.Deliver(b)
	}
	return b.WithFrom(f.Tier), nil
}

// WriteBlock implements [block.Writer].
func (f *Fake) WriteBlock(_ context.Context, b block.Block) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	if f.Decline != nil && f.Decline(b) {
		return nil
	}
	if _, ok := f.blocks[b.ID()]; !ok {
		f.blocks[b.ID()] = b.Retain()
	}
	return nil
}

// Reads returns how often id was asked for.
func (f *Fake) Reads(id block.ID) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reads[id]
}

// TotalReads returns how often anything was asked for.
func (f *Fake) TotalReads() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, k := range f.reads {
		n += k
	}
	return n
}

// Writes returns how many blocks were offered.
func (f *Fake) Writes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writes
}

// Remove forgets a block.
func (f *Fake) Remove(id block.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b, ok := f.blocks[id]; ok {
		delete(f.blocks, id)
		b.Release()
	}
}

// Close releases everything the fake holds.
func (f *Fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, b := range f.blocks {
		delete(f.blocks, id)
		b.Release()
	}
	return nil
}
