package placement_test

import (
	"slices"

	"github.com/zonecache/cached/placement"
)

// A host of the simulation: a reader that follows Order, and a node that does
// what its Desk says. The protocol is in those two; here is only what happens
// around them.
type host struct {
	sim      *sim
	name     string
	up, down float64 // bytes a second
	active   int
	seed     uint64

	busy     bool // its uplink
	downFree float64
	turn     int
	sends    []*sending

	desk      *placement.Desk
	order     *placement.Order // others' blocks
	own       *placement.Order // its own
	have      []holding
	left      int
	frontier  int
	began     float64
	first     float64 // when its first block was whole
	finish    float64 // when its last was
	dead      bool
	knownDead bool
}

type holding struct {
	bytes   int
	wanted  bool
	source  *sending // where the bytes come from
	asked   *host    // who was asked last
	hops    int
	lost    string // sticks until somebody serves it
	turn    int    // counts asks, so that answers to earlier ones are dropped
	waiting []asking
}

// asking is an ask somebody waits for the answer of, unless it has turned
// elsewhere.
type asking struct {
	placement.Ask
	reader *host
	turn   int
}

func (a asking) over(b int) bool { return a.reader.dead || a.reader.have[b].turn != a.turn }

func (h *host) state(b int) placement.Holding {
	x := &h.have[b]
	switch size := h.sim.sizes[b]; {
	case x.bytes == size:
		return placement.Whole
	case x.bytes > h.sim.heldBack:
		return placement.Flowing
	case x.wanted:
		return placement.Expected
	}
	return placement.None
}

// read asks for what Order and the look-ahead say.
func (h *host) read() {
	for i, ok := h.own.Next(); ok; i, ok = h.own.Next() {
		h.want(i)
	}
	for i, ok := h.order.Next(); ok; i, ok = h.order.Next() {
		h.want(i)
	}
}

func (h *host) want(b int) {
	x := &h.have[b]
	if x.wanted {
		h.order.Done(b)
		h.own.Done(b)
		return
	}
	x.wanted = true
	h.askOwner(b, "")
}

// askOwner asks who owns the block as far as is known, or reads the origin.
func (h *host) askOwner(b int, stale string) {
	owner := h.sim.ownerOf(b)
	if owner == h {
		h.readOrigin(b)
		return
	}
	h.ask(b, owner, stale)
}

func (h *host) readOrigin(b int) {
	s, x := h.sim, &h.have[b]
	x.wanted, x.asked, x.source = true, s.origin, nil
	x.turn++
	s.originReads++
	s.after(s.originDelay, func() {
		if h.dead {
			return
		}
		d := &sending{sim: s, from: s.origin, to: h, block: b, sent: x.bytes}
		x.source, x.lost = d, ""
		s.origin.sends = append(s.origin.sends, d)
		s.origin.pump()
	})
}

func (h *host) ask(b int, to *host, stale string) {
	s, x := h.sim, &h.have[b]
	x.asked = to
	x.turn++
	s.messages++
	s.mostHops = max(s.mostHops, x.hops)
	ask := asking{
		Ask:    placement.Ask{Reader: h.name, Hops: uint8(x.hops), Lost: x.lost, Alone: !h.desk.Behind(s.ids[b]), Stale: stale, Offset: x.bytes},
		reader: h, turn: x.turn,
	}
	s.message(func() {
		if to.dead {
			s.after(s.detect, func() { h.sourceLost(b, to) })
			return
		}
		to.answer(b, ask)
	})
}

// answer is the desk's side of an ask, the first time and whenever it may have
// another answer.
func (h *host) answer(b int, ask asking) {
	s, x, reader := h.sim, &h.have[b], ask.reader
	if h.dead {
		return
	}
	if ask.over(b) {
		h.desk.Left(s.ids[b], ask.Reader)
		return
	}
	role := placement.Holder
	if s.ownerOf(b) == h {
		role = placement.Owner
		switch {
		case !x.wanted:
			h.own.Skip(b)
			h.readOrigin(b)
		case ask.Lost != "" && x.asked != s.origin && h.state(b) != placement.Whole:
			// It owns the block since the owner died. What it reads may come from behind the
			// asker, also of one that is alone: the dead owner may just have sent it there.
			s.turned++
			h.readOrigin(b)
		}
	}
	r := placement.Request{Ask: ask.Ask, Block: s.ids[b], Holding: h.state(b), Role: role, Alive: s.alive}
	switch d := h.desk.Decide(r, s.clock()); d.Verdict {
	case placement.Wait:
		x.waiting = append(x.waiting, ask)
	case placement.Serve:
		send := &sending{sim: s, from: h, to: reader, block: b, sent: ask.Offset}
		h.sends = append(h.sends, send)
		reader.have[b].source, reader.have[b].lost = send, ""
		h.pump()
	case placement.Redirect:
		s.message(func() {
			if ask.over(b) {
				return
			}
			reader.have[b].hops++
			reader.ask(b, s.byName[d.To], "")
		})
	case placement.Gone:
		s.message(func() {
			if ask.over(b) {
				return
			}
			s.gone++
			reader.askOwner(b, h.name)
		})
	}
}

// again decides anew about waiting readers: those named, or all.
func (h *host) again(b int, readers []string) {
	x := &h.have[b]
	var due []asking
	x.waiting = slices.DeleteFunc(x.waiting, func(a asking) bool {
		if !slices.Contains(readers, a.Reader) {
			return false
		}
		due = append(due, a)
		return true
	})
	for _, a := range due {
		h.answer(b, a)
	}
}

func (h *host) wakeAll(b int) {
	due := h.have[b].waiting
	h.have[b].waiting = nil
	for _, a := range due {
		h.answer(b, a)
	}
}

// arrived is a chunk at its reader.
func (d *sending) arrived(n int) {
	h, b, s := d.to, d.block, d.sim
	d.flying--
	x := &h.have[b]
	if h.dead || x.source != d {
		if d.from != s.origin && !d.from.dead {
			d.end(placement.Broken) // the reader has closed the connection
		}
		return
	}
	before := h.state(b)
	x.bytes += n
	if now := h.state(b); now != before {
		h.wakeAll(b)
		if now == placement.Whole {
			h.got(b)
		}
	}
	h.pump()
	if !d.over && !d.from.dead {
		d.from.pump()
	}
	if x.bytes == s.sizes[b] {
		x.source = nil
	}
}

func (h *host) got(b int) {
	if h.left--; h.left == 0 {
		h.finish = h.sim.now
	}
	if h.first == 0 {
		h.first = h.sim.now
	}
	for h.frontier < len(h.have) && h.have[h.frontier].bytes == h.sim.sizes[h.frontier] {
		h.frontier++
	}
	h.own.Done(b)
	h.order.Done(b)
	h.own.Advance(h.frontier)
	h.order.Advance(h.frontier)
	h.read()
}

// sourceLost is what a reader does when it finds that src is dead.
func (h *host) sourceLost(b int, src *host) {
	x := &h.have[b]
	if h.dead || x.asked != src || x.bytes == h.sim.sizes[b] {
		return
	}
	x.source = nil
	x.lost, x.hops = src.name, 0
	h.askOwner(b, "")
}

// die ends the host; the others notice s.detect later.
func (h *host) die() {
	s := h.sim
	h.dead = true
	for _, d := range s.origin.sends {
		if d.to == h {
			d.over = true
		}
	}
	s.origin.sends = slices.DeleteFunc(s.origin.sends, func(d *sending) bool { return d.over })
	s.after(s.detect, func() {
		h.knownDead = true
		for _, other := range s.hosts {
			if other == h || other.dead {
				continue
			}
			other.desk.Forget(h.name)
			for _, d := range slices.Clone(other.sends) {
				if d.to == h {
					d.end(placement.Broken)
				}
			}
			for b := range other.have {
				for _, a := range other.have[b].waiting {
					if a.Reader == h.name {
						other.desk.Left(s.ids[b], h.name)
					}
				}
				other.have[b].waiting = slices.DeleteFunc(other.have[b].waiting, func(a asking) bool { return a.Reader == h.name })
				if x := &other.have[b]; x.wanted && x.asked == h && x.bytes < s.sizes[b] {
					other.sourceLost(b, h)
				}
			}
			other.read()
			other.pump()
		}
	})
}
