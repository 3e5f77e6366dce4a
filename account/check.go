package account

import (
	"errors"
	"fmt"

	"github.com/zonecache/cached/block"
)

// Check reports every identity that does not hold, nil if the books balance. It
// is exact with no request in flight.
func (l *Ledger) Check() error { return l.Snapshot().Check() }

// Check reports every identity that does not hold in the snapshot. Each may be
// off by the requests that were in flight.
func (s Snapshot) Check() error {
	var c checker
	r := s.Requests
	slack := r.InFlight
	if slack < 0 {
		c.fault("%d requests finished, fewer started", r.Finished)
		slack = 0
	}
	for _, cause := range block.Causes {
		served := r.Served.Of(cause)
		c.blocks(slack, served.Requests(), *r.Started.Of(cause), "%s requests: accounted, started", cause)
		c.blocks(slack, r.Errors.Of(cause).Sum(), served.Errors, "failed %s requests: by kind, in all", cause)
		if n := served.Unnamed.Blocks; n != 0 {
			c.fault("%s requests: %d served by no tier", cause, n)
		}
	}
	total := r.Total()
	c.blocks(slack, total.Requests(), r.Finished, "requests: accounted, finished")
	c.blocks(slack, r.Timed, r.Finished, "requests: timed, finished")
	s.checkTenants(&c, slack)

	images := s.Other
	for _, i := range s.Images {
		images.Prefetched = images.Prefetched.Plus(i.Prefetched)
		for _, cause := range block.Causes {
			*images.Served.Of(cause) = images.Served.Of(cause).Plus(*i.Served.Of(cause))
		}
	}
	for _, cause := range block.Causes {
		of, all := images.Served.Of(cause), r.Served.Of(cause)
		for _, t := range block.Tiers {
			c.count(slack, *of.Tier(t), *all.Tier(t), "%s requests served by %s: of images, in all", cause, t)
		}
		c.blocks(slack, of.Errors, all.Errors, "failed %s requests: of images, in all", cause)
	}
	c.count(slack, images.Prefetched, r.Prefetched, "prefetched requests: of images, in all")
	if here := r.Served.Demand.L1.Plus(r.Served.Demand.L2); r.Prefetched.Blocks > here.Blocks+slack {
		c.fault("prefetched requests: %d, of %d that l1 and l2 served", r.Prefetched.Blocks, here.Blocks)
	}
	for _, m := range s.Tiers {
		m.check(&c)
	}
	if o := s.Origin; o.DistinctBlocks > o.Reads.Blocks {
		c.fault("origin: %d distinct blocks in %d reads", o.DistinctBlocks, o.Reads.Blocks)
	}
	if o := s.Origin; o.OwnedBlocks > o.DistinctBlocks {
		c.fault("origin: %d owned blocks of %d distinct ones", o.OwnedBlocks, o.DistinctBlocks)
	}
	return errors.Join(c.faults...)
}

func (s Snapshot) checkTenants(c *checker, slack int64) {
	var all Served
	for _, t := range s.Tenants {
		all = all.Plus(t.Served)
	}
	total := s.Requests.Total()
	for _, t := range block.Tiers {
		c.count(slack, *all.Tier(t), *total.Tier(t), "requests served by %s: of tenants, in all", t)
	}
	c.blocks(slack, all.Errors, total.Errors, "failed requests: of tenants, in all")
}

func (m Medium) check(c *checker) {
	slack := m.InFlight
	if slack < 0 {
		c.fault("%s: more reads finished than started", m.Tier)
		slack = 0
	}
	c.blocks(slack, m.Hits.Blocks+m.Failures.Sum(), m.Started, "%s reads: by outcome, started", m.Tier)
	if m.Hits.Bytes > (m.Hits.Blocks+slack)*block.MaxSize {
		c.fault("%s: %d bytes in %d blocks", m.Tier, m.Hits.Bytes, m.Hits.Blocks)
	}
}

// A checker collects what is wrong.
type checker struct{ faults []error }

func (c *checker) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Errorf("ledger: "+format, args...))
}

// blocks wants two numbers of blocks to be equal, within the slack.
func (c *checker) blocks(slack, got, want int64, format string, args ...any) {
	if d := got - want; d > slack || -d > slack {
		c.fault(format+": %d, %d (%d in flight)", append(args, got, want, slack)...)
	}
}

// count wants two counts to be equal, within the slack in blocks.
func (c *checker) count(slack int64, got, want Count, format string, args ...any) {
	c.blocks(slack, got.Blocks, want.Blocks, format+", blocks", args...)
	c.blocks(slack*block.MaxSize, got.Bytes, want.Bytes, format+", bytes", args...)
}
