package zonetest

import (
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/prefetch"
)

// Orders returns how the daemon's read-ahead asks for the blocks of an image in a
// zone of such links: for others' blocks, and for own ones.
func (z *Zone) Orders() (others, own placement.OrderLimits) {
	rate := uint32(z.opts.Link.Up * 8 / 1e6) // 0: as where nobody has measured it
	others, own = placement.DefaultOrder(rate, z.opts.BlockSize), placement.LookAhead(rate, z.opts.BlockSize)
	others.Ahead = prefetch.DefaultAhead
	return others, own
}
