package hot

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/zonecache/cached/block"
)

// Window is the time in which readers of a block are counted together.
const Window = time.Minute

// heatBlocks is for how many blocks they are counted.
const heatBlocks = 4096

// A Heat counts who asks for the blocks this node owns, and who gets them here.
// In a burst most are sent on to others: their asks are a reason for a replica.
// Whether a block is worth the disks of its readers is told to those only who read
// it here, and counted by them: in a burst everybody gets everything at once, and
// all disks would write all of it.
type Heat struct {
	seed maphash.Seed

	mu    sync.Mutex
	warm  map[block.ID]*warmth
	order []block.ID // by age of their count
}

// warmth is how many nodes asked for a block, and read it here, lately: in this
// half of the window and the one before.
type warmth struct {
	since         time.Time
	asking, asked hashes
	reading, read hashes
	offered       bool
}

// hashes is a small set of nodes' names.
type hashes []uint64

// add keeps up to most.
func (s *hashes) add(h uint64, most int) {
	if len(*s) < most && !slices.Contains(*s, h) {
		*s = append(*s, h)
	}
}

// both returns how many hashes are in one of the sets.
func (s hashes) both(o hashes) int {
	n := len(s)
	for _, h := range o {
		if !slices.Contains(s, h) {
			n++
		}
	}
	return n
}

// Asked counts an ask, and reports whether so many nodes have asked by now, for
// the first time in a while.
func (h *Heat) Asked(id block.ID, node string, after int, now time.Time) (newly bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.warmthLocked(id, now)
	w.asking.add(maphash.String(h.seed, node), after)
	if w.offered || w.asking.both(w.asked) < after {
		return false
	}
	w.offered = true
	return true
}

// Served counts a reader, and reports whether the block is hot, which it is with
// so many.
func (h *Heat) Served(id block.ID, node string, after int, now time.Time) (hot bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.warmthLocked(id, now)
	w.reading.add(maphash.String(h.seed, node), after)
	return w.reading.both(w.read) >= after
}

func (h *Heat) warmthLocked(id block.ID, now time.Time) *warmth {
	if h.warm == nil {
		h.warm, h.seed = map[block.ID]*warmth{}, maphash.MakeSeed()
	}
	w, ok := h.warm[id]
	if !ok {
		if len(h.order) == heatBlocks {
			delete(h.warm, h.order[0])
			h.order = h.order[1:]
		}
		w = &warmth{since: now}
		h.warm[id] = w
		h.order = append(h.order, id)
	}
	if age := now.Sub(w.since); age >= Window/2 {
		w.asked, w.read = w.asking, w.reading
		if age >= Window {
			w.asked, w.read, w.offered = nil, nil, false
		}
		w.asking, w.reading, w.since = nil, nil, now
	}
	return w
}
