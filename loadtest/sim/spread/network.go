package spread

import (
	"slices"
	"time"

	"github.com/zonecache/cached/placement"
)

// A send is one block on its way from a host to another.
type send struct {
	from, to *host
	arrival  *arrival // at the reader
	block    int
	sent     int           // bytes put on the link
	flying   int           // bytes not yet at the reader
	whole    bool          // the sender has all of it
	over     bool          // off the link
	onWire   time.Duration // not before that: the sender's disk has it then
}

// ready returns how many bytes can be sent now.
func (d *send) ready() int {
	s := d.from.s
	if d.flying > s.Window-s.Chunk {
		return 0
	}
	size := s.Sizes[d.block]
	if !d.whole {
		have := d.from.has(d.block)
		if d.whole = have == size; !d.whole {
			size = min(have, size-s.HeldBack)
		}
	}
	if d.onWire > s.now {
		return 0
	}
	return min(s.Chunk, size-d.sent)
}

// choose returns the send whose turn it is.
func (h *host) choose() (*send, int) {
	n := min(h.active, len(h.sends))
	if h.turn >= n {
		h.turn = 0
	}
	at := h.turn
	for range n {
		d := h.sends[at]
		if at++; at >= n {
			at = 0
		}
		if bytes := d.ready(); bytes > 0 {
			h.turn = at
			return d, bytes
		}
	}
	if h.s.Strict {
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
	if h.busy || h.dead || len(h.sends) == 0 {
		return
	}
	d, n := h.choose()
	if d == nil {
		return
	}
	s := h.s
	d.sent += n
	d.flying += n
	h.busy = true
	wire := float64(n) * (1 + s.Overhead)
	took := time.Duration(wire / h.up)
	to := d.to
	// The switch passes the chunk on while it comes in, as the reader's link allows.
	there := max(s.now+took+s.Hop, max(to.downFree, s.now+s.Hop)+time.Duration(wire/to.down))
	to.downFree = there
	s.schedule(s.now+took, (*uplink)(h), 0)
	s.schedule(there, d, n)
	if h == s.origin {
		s.originBytes += int64(n)
	}
	if d.sent == s.Sizes[d.block] {
		d.end(placement.Delivered)
	}
}

// An uplink has sent its chunk.
type uplink host

func (u *uplink) happen(int) {
	h := (*host)(u)
	h.busy = false
	h.pump()
}

// happen is a chunk at its reader.
func (d *send) happen(n int) {
	d.flying -= n
	h, x, s := d.to, d.arrival, d.to.s
	if h.dead || x.source != d {
		if !d.from.dead {
			d.end(placement.Broken) // the reader has closed the connection
		}
		return
	}
	before := x.bytes > s.HeldBack
	x.bytes += n
	if x.bytes == s.Sizes[d.block] {
		h.complete(x)
	} else if !before && x.bytes > s.HeldBack {
		s.protocol.flows(x)
	}
	if !h.busy {
		h.pump()
	}
	if !d.over && !d.from.busy {
		d.from.pump()
	}
}

// end takes the send off its host's link.
func (d *send) end(result placement.Result) {
	if d.over {
		return
	}
	d.over = true
	h := d.from
	if i := slices.Index(h.sends, d); i >= 0 {
		h.drop(i)
	}
	if !h.dead {
		h.s.protocol.sent(d, result)
	}
}

// drop takes the send at i off; those behind it keep their order where it says
// whose turn it is.
func (h *host) drop(i int) {
	last := len(h.sends) - 1
	if h.active <= last {
		h.sends = slices.Delete(h.sends, i, i+1)
		return
	}
	h.sends[i], h.sends[last] = h.sends[last], nil
	h.sends = h.sends[:last]
}

// serve begins to send the block to who awaits it in x.
func (h *host) serve(x *arrival) {
	s := h.s
	d := &send{from: h, to: x.host, arrival: x, block: x.block, sent: x.bytes, whole: h.at == nil || h.at[x.block] < 0}
	if h != s.origin && h.at[x.block] == onDisk {
		d.onWire = h.fromDisk(s.Sizes[x.block])
		s.schedule(d.onWire, action(h.pump), 0)
	}
	h.sends = append(h.sends, d)
	x.source = d
	h.pump()
}
