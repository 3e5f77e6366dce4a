package api

import (
	"fmt"
	"sync/atomic"

	"github.com/zonecache/cached/block"
)

// A gate bounds the block reads in progress. A read beyond the bound is refused
// at once: queueing it would only make every other one late.
type gate struct {
	limit   int64
	setting string // that has the limit
	refused func() // is told of each refusal; nil: nobody
	in      atomic.Int64
}

// enter admits one read, which must leave again, or refuses it.
func (g *gate) enter() error {
	if g.in.Add(1) > g.limit {
		g.in.Add(-1)
		if g.refused != nil {
			g.refused()
		}
		return fmt.Errorf("%d reads are in progress, the limit (%s): retry after %s: %w", g.limit, g.setting, overloadDelay, block.ErrOverloaded)
	}
	return nil
}

func (g *gate) leave() { g.in.Add(-1) }
