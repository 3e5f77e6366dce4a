package spread

import (
	"slices"
	"time"

	"github.com/zonecache/cached/placement"
)

// A host reads the image, passes it on, or both.
type host struct {
	s        *sim
	i        int
	name     string
	up, down float64 // bytes a nanosecond
	slower   float64 // than others' links, by what
	reader   bool
	started  bool

	active   int // sends on the wire at a time
	busy     bool
	turn     int
	sends    []*send
	downFree time.Duration

	at     []int32    // of each block: absent, whole, onDisk, or 1 + its place in coming
	coming []*arrival // in no order
	had    []bool     // of each block: it was here
	left   int        // blocks that were not
	began  time.Duration
	first  time.Duration // when its first block was whole
	finish time.Duration // when its last was

	dead      bool
	knownDead bool

	kept     []int32 // whole blocks in memory, oldest first
	keeps    int64
	diskFree time.Duration
}

// What a host may have of a block, beside an arrival.
const (
	absent = 0
	whole  = -1
	onDisk = -2
)

// An arrival is a block on its way to a host.
type arrival struct {
	host   *host
	block  int
	bytes  int
	source *send  // where the bytes come from
	asked  *host  // who was asked last
	ask    uint32 // counts asks, so that answers to earlier ones are dropped
	hops   int
	lost   string // a source that died; sticks until somebody serves it
}

// has returns how many bytes of the block are here.
func (h *host) has(b int) int {
	if h.at == nil {
		return h.s.Sizes[b] // the origin
	}
	switch at := h.at[b]; {
	case at > 0:
		return h.coming[at-1].bytes
	case at < 0:
		return h.s.Sizes[b]
	}
	return 0
}

// arriving returns the block's arrival, if it is on its way.
func (h *host) arriving(b int) *arrival {
	if at := h.at[b]; at > 0 {
		return h.coming[at-1]
	}
	return nil
}

// await returns the arrival of a block that is neither here nor on its way.
func (h *host) await(b int) *arrival {
	x := &arrival{host: h, block: b}
	h.coming = append(h.coming, x)
	h.at[b] = int32(len(h.coming))
	return x
}

// complete ends the arrival of a block that is here.
func (h *host) complete(x *arrival) {
	s, b := h.s, x.block
	x.source = nil
	h.remove(x, whole)
	for _, d := range h.sends {
		if d.block == b {
			d.whole = true // also if the block is dropped meanwhile
		}
	}
	if s.Memory > 0 {
		h.keep(b)
	}
	if !h.had[b] {
		h.had[b] = true
		if h.left--; h.left == 0 {
			h.finish = s.now
		}
		if h.first == 0 {
			h.first = s.now
		}
	}
	s.protocol.got(x)
}

// keep puts a block into memory, and drops the oldest ones to make room.
func (h *host) keep(b int) {
	s := h.s
	h.kept = append(h.kept, int32(b))
	h.keeps += int64(s.Sizes[b])
	drop := 0
	for ; h.keeps > s.Memory && drop < len(h.kept)-1; drop++ {
		old := h.kept[drop]
		h.keeps -= int64(s.Sizes[old])
		h.at[old] = absent
		if s.Disk.Rate > 0 {
			h.at[old] = onDisk
		}
	}
	h.kept = slices.Delete(h.kept, 0, drop)
}

// fromDisk returns when the disk has read so many bytes.
func (h *host) fromDisk(bytes int) time.Duration {
	h.diskFree = max(h.diskFree, h.s.now) + h.s.Disk.Delay + seconds(float64(bytes)/h.s.Disk.Rate)
	return h.diskFree
}

// die ends the host; the others know it s.Detect later.
func (h *host) die() {
	s := h.s
	h.dead = true
	for i := len(s.origin.sends) - 1; i >= 0; i-- {
		if d := s.origin.sends[i]; d.to == h {
			d.over = true
			s.origin.drop(i)
		}
	}
	s.after(s.Detect, func() {
		h.knownDead = true
		s.protocol.died(h)
		for _, other := range s.hosts {
			if other.dead {
				continue
			}
			for _, d := range slices.Clone(other.sends) {
				if d.to == h {
					d.end(placement.Broken)
				}
			}
			for _, x := range slices.Clone(other.coming) {
				other.lose(x, h)
			}
			other.pump()
		}
	})
}

// abandon gives up the arrival: the block is neither here nor on its way.
func (h *host) abandon(x *arrival) {
	x.source = nil
	x.ask++
	h.remove(x, absent)
}

// remove takes the arrival off those on their way.
func (h *host) remove(x *arrival, then int32) {
	at, last := h.at[x.block]-1, len(h.coming)-1
	h.coming[at] = h.coming[last]
	h.at[h.coming[at].block] = at + 1
	h.coming[last] = nil
	h.coming = h.coming[:last]
	h.at[x.block] = then
}

// waits reports whether that ask for it still stands.
func (x *arrival) waits(ask uint32) bool {
	return x.ask == ask && !x.host.dead && x.host.arriving(x.block) == x
}

// lose turns away from a source that is dead.
func (h *host) lose(x *arrival, src *host) {
	if h.dead || x.asked != src || h.arriving(x.block) != x {
		return
	}
	x.source, x.lost, x.hops = nil, src.name, 0
	h.s.protocol.lost(x)
}
