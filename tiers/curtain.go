package tiers

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/zonecache/cached/block"
)

// A Curtain stands before a store. While it is down the store looks as if it had been
// emptied when the curtain fell: it shows the blocks only that were offered to it
// since. Nothing is lost; raised, the curtain shows all of it again.
//
// It keeps a bit for each offer, in [CurtainBytes] of memory whatever the number of
// blocks: of a block that was not offered it says the contrary as often as
// offers / 2^27, which is 1 of 128 after a million.
type Curtain struct {
	block.Store
	offered atomic.Pointer[marks]
}

// CurtainBytes is the memory of a curtain that is down.
const CurtainBytes = 1 << curtainBits / 8

const curtainBits = 27

type marks [1 << curtainBits / 32]atomic.Uint32

// NewCurtain returns a curtain before s that is up.
func NewCurtain(s block.Store) *Curtain { return &Curtain{Store: s} }

// Fall makes the store look empty.
func (c *Curtain) Fall() { c.offered.Store(new(marks)) }

// Rise shows all of the store again.
func (c *Curtain) Rise() { c.offered.Store(nil) }

// Down reports whether the store seems empty, but for what came since.
func (c *Curtain) Down() bool { return c.offered.Load() != nil }

// Shows reports whether the curtain hides nothing of this block.
func (c *Curtain) Shows(id block.ID) bool {
	m := c.offered.Load()
	return m == nil || m.has(id)
}

// ReadBlock implements [block.Reader].
func (c *Curtain) ReadBlock(ctx context.Context, id block.ID) (block.Block, error) {
	if !c.Shows(id) {
		return block.Block{}, fmt.Errorf("read %s: hidden by a drill: %w", id, block.ErrNotFound)
	}
	return c.Store.ReadBlock(ctx, id)
}

// WriteBlock implements [block.Writer]. A store that holds the block already has
// nothing to do.
func (c *Curtain) WriteBlock(ctx context.Context, b block.Block) error {
	err := c.Store.WriteBlock(ctx, b)
	if m := c.offered.Load(); m != nil && err == nil {
		m.add(b.ID())
	}
	return err
}

// place says where a block's bit is: its id is as good as random.
func place(id block.ID) (word, bit uint32) {
	n := binary.LittleEndian.Uint32(id[:]) % (1 << curtainBits)
	return n / 32, 1 << (n % 32)
}

func (m *marks) has(id block.ID) bool {
	word, bit := place(id)
	return m[word].Load()&bit != 0
}

func (m *marks) add(id block.ID) {
	word, bit := place(id)
	m[word].Or(bit)
}
