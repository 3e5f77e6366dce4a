package spread

import (
	"slices"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// start0 is when a burst begins on the desks' clocks.
var start0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// cached is the product's burst protocol. All that is decided is decided by
// placement; here is only what tiers/peer and prefetch do about it.
type cached struct {
	*sim
	nodes   []*node
	ids     []block.ID
	holders [][]*host // of each block: its owner, then who owns it once those before are gone
	alive   func(name string) bool
}

// A node is a host's part in the protocol.
type node struct {
	desk    *placement.Desk
	order   *placement.Order // of others' blocks
	own     *placement.Order // of its own
	wanted  []bool
	waiting map[int][]asking // by block, in the order they came
	reached int              // the first block that it does not have
}

// asking is an ask somebody waits for the answer of, unless it has turned
// elsewhere.
type asking struct {
	placement.Ask
	x   *arrival
	ask uint32
}

func (a asking) over() bool { return !a.x.waits(a.ask) }

func (s *sim) clock() time.Time { return start0.Add(s.now) }

func newCached(s *sim) protocol {
	c := &cached{sim: s}
	members := make([]placement.Member, len(s.hosts))
	for i, h := range s.hosts {
		members[i] = placement.Member{Name: h.name, Weight: 100}
		n := &node{desk: placement.NewDesk(s.Limits), wanted: make([]bool, len(s.Sizes)), waiting: map[int][]asking{}}
		if h.slower != 1 && !s.Unseen {
			n.desk.SetRate(mbits(h), uint32(s.Rate/1e6))
		}
		c.nodes = append(c.nodes, n)
	}
	ring := placement.NewRing(members)
	for b := range s.Sizes {
		c.ids = append(c.ids, block.Sum([]byte{byte(b), byte(b >> 8), byte(b >> 16), byte(s.Seed), byte(s.Seed >> 8)}))
		var holders []*host
		for _, m := range ring.Holders(c.ids[b], 8) {
			holders = append(holders, s.byName[m.Name])
		}
		c.holders = append(c.holders, holders)
	}
	for i, h := range s.hosts {
		if !h.reader {
			continue
		}
		n, seed := c.nodes[i], s.rng.Uint64()
		n.order = placement.NewOrder(len(s.Sizes), seed, s.Order)
		n.own = placement.NewOrder(len(s.Sizes), seed, s.Ahead)
		for b := range s.Sizes {
			if c.holders[b][0] == h {
				n.order.Skip(b)
			} else {
				n.own.Skip(b)
			}
		}
	}
	if s.Slower != nil || len(s.Deaths) > 0 {
		c.alive = c.isAlive
	}
	return c
}

func mbits(h *host) uint32 { return uint32(h.up * 8e3) }

// isAlive says who can be redirected to.
func (c *cached) isAlive(name string) bool {
	h := c.byName[name]
	return !h.knownDead && (c.Unseen || !placement.Slow(mbits(h), uint32(c.Rate/1e6)))
}

func (c *cached) owner(b int) *host {
	for _, h := range c.holders[b] {
		if !h.knownDead {
			return h
		}
	}
	for _, h := range c.hosts {
		if !h.knownDead {
			return h
		}
	}
	return c.hosts[0]
}

func (c *cached) holding(h *host, b int) placement.Holding {
	switch at := h.at[b]; {
	case at < 0:
		return placement.Whole
	case at == 0:
		return placement.None
	case h.coming[at-1].bytes > c.HeldBack:
		return placement.Flowing
	}
	return placement.Expected
}

// start reads what Order and the look-ahead say.
func (c *cached) start(h *host) {
	n := c.nodes[h.i]
	for _, o := range []*placement.Order{n.own, n.order} {
		for b, ok := o.Next(); ok; b, ok = o.Next() {
			if n.wanted[b] {
				o.Done(b)
				continue
			}
			n.wanted[b] = true
			c.askOwner(h.await(b), "")
		}
	}
}

// askOwner asks who owns the block as far as is known, or reads the origin.
func (c *cached) askOwner(x *arrival, stale string) {
	if owner := c.owner(x.block); owner != x.host {
		c.ask(x, owner, stale)
		return
	}
	c.readOrigin(x)
}

func (c *cached) ask(x *arrival, to *host, stale string) {
	h, b := x.host, x.block
	x.asked = to
	x.ask++
	c.messages++
	c.mostHops = max(c.mostHops, x.hops)
	ask := asking{
		Ask: placement.Ask{Reader: h.name, Hops: uint8(x.hops), Lost: x.lost, Alone: !c.nodes[h.i].desk.Behind(c.ids[b]), Stale: stale, Offset: x.bytes},
		x:   x, ask: x.ask,
	}
	c.message(func() {
		if to.dead {
			c.after(c.Detect, func() { h.lose(x, to) })
			return
		}
		c.answer(to, b, ask)
	})
}

// answer is the desk's side of an ask, the first time and whenever it may have
// another answer.
func (c *cached) answer(h *host, b int, ask asking) {
	n := c.nodes[h.i]
	if h.dead {
		return
	}
	if ask.over() {
		n.desk.Left(c.ids[b], ask.Reader)
		return
	}
	role := placement.Holder
	if c.owner(b) == h {
		role = placement.Owner
		switch x := h.arriving(b); {
		case h.at[b] == absent:
			n.wanted[b] = true
			if h.reader {
				n.own.Skip(b)
			}
			c.readOrigin(h.await(b))
		case ask.Lost != "" && x != nil && x.asked != c.origin:
			// It owns the block since the owner died. What it reads may come from behind the
			// asker, also of one that is alone: the dead owner may just have sent it there.
			c.turned++
			c.readOrigin(x)
		}
	}
	r := placement.Request{Ask: ask.Ask, Block: c.ids[b], Holding: c.holding(h, b), Role: role, Alive: c.alive}
	switch d := n.desk.Decide(r, c.clock()); d.Verdict {
	case placement.Wait:
		n.waiting[b] = append(n.waiting[b], ask)
	case placement.Serve:
		ask.x.lost = ""
		h.serve(ask.x)
	case placement.Redirect:
		c.message(func() {
			if !ask.over() {
				ask.x.hops++
				c.ask(ask.x, c.byName[d.To], "")
			}
		})
	case placement.Gone:
		c.message(func() {
			if !ask.over() {
				c.gone++
				c.askOwner(ask.x, h.name)
			}
		})
	}
}

// again decides anew about waiting readers: those named.
func (c *cached) again(h *host, b int, readers []string) {
	n := c.nodes[h.i]
	if len(readers) == 0 || len(n.waiting[b]) == 0 {
		return
	}
	var due []asking
	stay := slices.DeleteFunc(n.waiting[b], func(a asking) bool {
		if !slices.Contains(readers, a.Reader) {
			return false
		}
		due = append(due, a)
		return true
	})
	if n.waiting[b] = stay; len(stay) == 0 {
		delete(n.waiting, b)
	}
	for _, a := range due {
		c.answer(h, b, a)
	}
}

// flows decides anew about all who wait for the block.
func (c *cached) flows(x *arrival) {
	n := c.nodes[x.host.i]
	due := n.waiting[x.block]
	delete(n.waiting, x.block)
	for _, a := range due {
		c.answer(x.host, x.block, a)
	}
}

func (c *cached) got(x *arrival) {
	c.flows(x)
	h := x.host
	if !h.reader {
		return
	}
	n := c.nodes[h.i]
	for n.reached < len(h.at) && (n.wanted[n.reached] && h.at[n.reached] <= 0) {
		n.reached++
	}
	for _, o := range []*placement.Order{n.own, n.order} {
		o.Done(x.block)
		o.Advance(n.reached)
	}
	c.start(h)
}

func (c *cached) sent(d *send, result placement.Result) {
	if h := d.from; h != c.origin {
		c.again(h, d.block, c.nodes[h.i].desk.Ended(c.ids[d.block], d.to.name, result, c.clock()))
	}
}

func (c *cached) died(dead *host) {
	for i, n := range c.nodes {
		if c.hosts[i].dead {
			continue
		}
		n.desk.Forget(dead.name)
		for b, waiting := range n.waiting {
			n.waiting[b] = slices.DeleteFunc(waiting, func(a asking) bool {
				if a.x.host != dead {
					return false
				}
				n.desk.Left(c.ids[b], dead.name)
				return true
			})
		}
	}
}

func (c *cached) lost(x *arrival) { c.askOwner(x, "") }
