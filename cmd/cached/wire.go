package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/zonecache/cached/account"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/tiers"
)

// wire opens the tiers and joins them. This is the architecture diagram: the
// order of concerns on a block's way is decided here and nowhere else.
func wire(ctx context.Context, cfg Config, log *slog.Logger) (*node, error) {
	n := &node{ledger: account.New(account.Options{})}
	if err := n.open(ctx, cfg, log); err != nil {
		return nil, errors.Join(err, n.close())
	}

	// One flight per block across all who miss; each origin's bytes are checked
	// below the fail-over (see open), so that wrong ones are read elsewhere.
	l4 := tiers.Flight(n.ledger.Reader(block.Origin, tiers.Limit(n.origin, cfg.Limits.OriginReads)))
	below := l4
	if n.l2 != nil {
		below = tiers.ReadThrough(n.ledger.Store(block.Disk, n.l2), l4, tiers.Always)
	}
	// The flight fills L1 before it ends; the Fallback outside of it lets a hit
	// take off without one.
	zone := tiers.Fallback(n.ledger.Reader(block.Memory, n.l1), tiers.Flight(tiers.ReadThrough(n.l1, below, tiers.Always)))
	n.zone = n.ledger.Requests(zone)
	return n, nil
}
