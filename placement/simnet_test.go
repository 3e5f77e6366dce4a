package placement_test

import (
	"container/heap"
	"slices"
	"time"

	"github.com/zonecache/cached/placement"
)

// The network of the simulation: links that carry one chunk at a time, round
// robin over the first few sends that have bytes, the others in line behind
// them; and the queue of what happens next.

const (
	chunkSize = 16 << 10
)

type happening struct {
	at   float64 // seconds
	turn uint64  // breaks ties by age, so that a run repeats
	send *sending
	n    int
	host *host
	do   func()
}

type agenda []happening

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].turn < a[j].turn
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(happening)) }
func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	(*a)[len(*a)-1] = happening{}
	*a = (*a)[:len(*a)-1]
	return last
}

// schedule is the agenda without heap.Push's allocation.
func (s *sim) schedule(h happening) {
	s.turn++
	h.turn = s.turn
	s.agenda = append(s.agenda, h)
	heap.Fix(&s.agenda, len(s.agenda)-1)
}

func (s *sim) after(seconds float64, do func()) { s.schedule(happening{at: s.now + seconds, do: do}) }

// message is one small message over the network.
func (s *sim) message(do func()) { s.after(s.hop*(1+s.jitter*s.rng.Float64()), do) }

func (s *sim) clock() time.Time { return start.Add(time.Duration(s.now * float64(time.Second))) }

// run lets things happen until nothing more does.
func (s *sim) run() {
	for len(s.agenda) > 0 {
		h := heap.Pop(&s.agenda).(happening)
		s.now = h.at
		switch {
		case h.do != nil:
			h.do()
		case h.send != nil:
			h.send.arrived(h.n)
		default:
			h.host.busy = false
			h.host.pump()
		}
	}
}

// A sending is one block on its way from a host to another.
type sending struct {
	sim      *sim
	from, to *host
	block    int
	sent     int // bytes put on the link
	flying   int // chunks not yet at the reader
	over     bool
}

// ready returns how many bytes can be sent now.
func (d *sending) ready() int {
	if d.flying >= d.sim.inFlight {
		return 0
	}
	size := d.sim.sizes[d.block]
	if d.from != d.sim.origin {
		have := d.from.have[d.block].bytes
		if have < size {
			size = min(have, size-d.sim.heldBack)
		}
	}
	return min(chunkSize, size-d.sent)
}

// choose returns the send whose turn it is.
func (h *host) choose() (*sending, int) {
	n := min(h.active, len(h.sends))
	for i := range n {
		at := (h.turn + i) % n
		if bytes := h.sends[at].ready(); bytes > 0 {
			h.turn = at + 1
			return h.sends[at], bytes
		}
	}
	if h.sim.strict {
		return nil, 0
	}
	for _, d := range h.sends[n:] { // who has nothing to send gives way
		if bytes := d.ready(); bytes > 0 {
			return d, bytes
		}
	}
	return nil, 0
}

// pump puts the next chunk on the host's uplink.
func (h *host) pump() {
	s := h.sim
	if h.busy || h.dead {
		return
	}
	d, n := h.choose()
	if d == nil {
		return
	}
	d.sent += n
	d.flying++
	h.busy = true
	took := float64(n) / h.up
	to := d.to
	// The switch passes the chunk on while it comes in, as the reader's link allows.
	there := max(s.now+took+s.hop, max(to.downFree, s.now+s.hop)+float64(n)/to.down)
	to.downFree = there
	s.schedule(happening{at: s.now + took, host: h})
	s.schedule(happening{at: there, send: d, n: n})
	if d.sent == s.sizes[d.block] {
		d.end(placement.Delivered)
	}
}

// end takes the send off its host's link.
func (d *sending) end(result placement.Result) {
	if d.over {
		return
	}
	d.over = true
	h := d.from
	if i := slices.Index(h.sends, d); i >= 0 {
		h.sends = slices.Delete(h.sends, i, i+1)
	}
	if h == d.sim.origin || h.dead {
		return
	}
	h.again(d.block, h.desk.Ended(d.sim.ids[d.block], d.to.name, result, d.sim.clock()))
}
