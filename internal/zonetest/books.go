package zonetest

import (
	"errors"
	"fmt"

	"github.com/zonecache/cached/account"
	"github.com/zonecache/cached/block"
)

// CheckBooks reports what does not balance in the books of all nodes, those that
// ended included. Nothing may be under way.
func (z *Zone) CheckBooks() error {
	var faults []error
	var fromOrigin int64
	for _, n := range z.nodes {
		n.mu.Lock()
		ledgers := n.ledgers
		n.mu.Unlock()
		for life, l := range ledgers {
			s := l.Snapshot()
			if err := s.Check(); err != nil {
				faults = append(faults, fmt.Errorf("%s, life %d: %w", n.Name, life, err))
			}
			if s.Requests.InFlight != 0 {
				faults = append(faults, fmt.Errorf("%s, life %d: %d requests in flight", n.Name, life, s.Requests.InFlight))
			}
			for _, m := range s.Tiers {
				if m.InFlight != 0 {
					faults = append(faults, fmt.Errorf("%s, life %d: %d reads of %s in flight", n.Name, life, m.InFlight, m.Tier))
				}
			}
			fromOrigin += s.Origin.Reads.Blocks
		}
	}
	if served := int64(z.origin.Served()); fromOrigin != served {
		faults = append(faults, fmt.Errorf("the nodes have read %d blocks from the origin, it has served %d", fromOrigin, served))
	}
	return errors.Join(faults...)
}

// Served sums up which tiers served the containers of all nodes, and what failed.
func (z *Zone) Served() account.Served {
	var total account.Served
	for _, n := range z.nodes {
		n.mu.Lock()
		ledgers := n.ledgers
		n.mu.Unlock()
		for _, l := range ledgers {
			total = total.Plus(l.Snapshot().Requests.Total())
		}
	}
	return total
}

// OriginMost returns the largest number of times any block was read from the
// origin, the block, and how many reads there were in all.
func (z *Zone) OriginMost() (most int, id block.ID, total int) {
	for _, b := range z.blocks {
		if n := z.origin.Reads(b.ID()); n > most {
			most, id = n, b.ID()
		}
	}
	return most, id, z.origin.Total()
}
