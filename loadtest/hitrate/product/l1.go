package product

import (
	"context"
	"fmt"
	"runtime"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/loadtest/hitrate/policy"
	"github.com/zonecache/cached/tiers/memory"
)

// An L1 is the memory tier. It must be closed.
type L1 struct {
	tier  *memory.Tier
	pool  *block.Pool
	reads int
}

var _ policy.Cache = (*L1)(nil)

// NewL1 opens a tier of that many bytes. It takes address space rather than memory:
// nobody writes into its blocks.
func NewL1(capacity int64) (*L1, error) {
	tier, err := memory.New(memory.Options{Capacity: capacity})
	if err != nil {
		return nil, fmt.Errorf("product: %w", err)
	}
	return &L1{tier: tier, pool: block.NewPool(1 << 50)}, nil
}

// learnEvery is how many reads come before the tier's own goroutines get a turn: as
// many as it learns from at a time.
const learnEvery = 64

// Access implements [policy.Cache].
func (c *L1) Access(id uint64, size int64) bool {
	if c.Look(id) {
		return true
	}
	if size > block.MaxSize {
		return false
	}
	b := c.pool.Get(int(size)).Seal(ID(id), block.Origin)
	_ = c.tier.WriteBlock(context.Background(), b) // it never fails
	b.Release()
	return false
}

// Look reports whether the tier has the object, which counts as a use of it.
func (c *L1) Look(id uint64) bool {
	if c.reads++; c.reads%learnEvery == 0 {
		runtime.Gosched()
	}
	b, err := c.tier.ReadBlock(context.Background(), ID(id))
	b.Release()
	return err == nil
}

// Close gives back what the tier holds.
func (c *L1) Close() error { return c.tier.Close() }
