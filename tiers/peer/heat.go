package peer

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

const (
	heatWindow = time.Minute
	heatBlocks = 4096 // whose readers are counted
	hotFor     = 10 * time.Minute
	maxPulls   = 4 // of replicas at a time
)

// A heat counts who asks for the blocks this node owns, and who gets them here.
// In a burst most are sent on to others: their asks are a reason for a replica.
// Whether a block is worth the disks of its readers is told to those only who read
// it here, and counted by them: in a burst everybody gets everything at once, and
// all disks would write all of it.
type heat struct {
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

// asked counts an ask, and reports whether so many nodes have asked by now, for
// the first time in a while.
func (h *heat) asked(id block.ID, node string, after int, now time.Time) (newly bool) {
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

// served counts a reader, and reports whether the block is hot, which it is with
// so many.
func (h *heat) served(id block.ID, node string, after int, now time.Time) (hot bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.warmthLocked(id, now)
	w.reading.add(maphash.String(h.seed, node), after)
	return w.reading.both(w.read) >= after
}

func (h *heat) warmthLocked(id block.ID, now time.Time) *warmth {
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
	if age := now.Sub(w.since); age >= heatWindow/2 {
		w.asked, w.read = w.asking, w.reading
		if age >= heatWindow {
			w.asked, w.read, w.offered = nil, nil, false
		}
		w.asking, w.reading, w.since = nil, nil, now
	}
	return w
}

// noteHeat counts an ask for a block this node owns and has the next holder take
// a replica of one that has become hot.
func (t *Tier) noteHeat(a *asked) {
	if t.heat.asked(a.id, a.ask.Reader, t.hotAfter(a.ring), time.Now()) {
		t.begin(func() { t.offer(a.id) })
	}
}

// hotAfter returns how many readers make a block hot: in a small zone half of the
// others are enough.
func (t *Tier) hotAfter(ring *placement.Ring) int {
	return min(t.opts.HotAfter, max(2, (ring.Len()-1)/2))
}

// offer tells the next holder that a block is hot. Nothing depends on it.
func (t *Tier) offer(id block.ID) {
	holders := t.opts.Ring().Holders(id, 2)
	if len(holders) < 2 || holders[0].Name != t.opts.Node || !t.mayAsk(holders[1].Name) {
		return
	}
	t.stats.offersGiven.Add(1)
	ctx, cancel := context.WithTimeout(t.ending, t.opts.Budget)
	defer cancel()
	into := block.NewArrival(id, t.opts.Pool)
	defer into.Leave()
	_, _ = t.fetch(ctx, holders[1], placement.Ask{Kind: placement.Offer}, into)
}

// offered pulls a replica of a block whose owner says that it is hot, unless
// this node is busy with others, or does not read from the owner at the moment and
// would read the origin. Only the owner may say so.
func (t *Tier) offered(a *asked) {
	chain := t.pull.Load()
	owner, ok := a.ring.Owner(a.id)
	if chain == nil || !ok || owner.Name != a.ask.Reader || owner.Name == t.opts.Node {
		return
	}
	if state, _, _ := t.peers.get(owner.Name).breaker.state(time.Now()); state != Closed {
		return
	}
	select {
	case t.pulls <- struct{}{}:
	default:
		return
	}
	t.stats.offersTaken.Add(1)
	t.hot.add(a.id, time.Now())
	begun := t.begin(func() {
		defer func() { <-t.pulls }()
		// It ends before its time among peers does, because the chain goes on to the
		// origin then; a deadline would only make that time shorter.
		ctx, cancel := context.WithCancel(t.ending)
		defer cancel()
		defer time.AfterFunc(t.opts.Budget/2, cancel).Stop()
		b, err := (*chain).ReadBlock(block.WithCall(ctx, block.Call{Cause: block.Repair}), a.id)
		if err == nil {
			b.Release()
		}
	})
	if !begun {
		<-t.pulls
	}
}

// closing reports whether the tier has been closed.
func (t *Tier) closing() bool { return t.ending.Err() != nil }
