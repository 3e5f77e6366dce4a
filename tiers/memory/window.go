package memory

import (
	"sync"

	"github.com/zonecache/cached/block"
)

// windowShare is the part of the capacity that belongs to the newest blocks,
// one in windowShare.
//
// TinyLFU alone refuses a block that was never read when what it would evict was:
// right for a scan, wrong for a block that was fetched ahead of the program that
// will read it, or that a peer was just told to fetch here. W-TinyLFU (Einziger,
// Friedman, Manes 2017) has such a window before the frequency filter; ristretto
// has none.
const windowShare = 4

// A window holds the newest blocks, whatever their worth, in the order in which
// they came. It takes what room there is; once the tier is full it keeps the last
// limit bytes, and what falls out of it stands before ristretto's filter.
// The blocks themselves are in the gates, where reads look.
type window struct {
	limit int64

	mu    sync.Mutex
	bytes int64
	queue []entry // oldest first; the references are the gates'
	head  int
}

// push appends a block.
func (w *window) push(e entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bytes += int64(e.MemorySize())
	w.queue = append(w.queue, e)
}

// pop takes out the oldest block if the window is over its limit, which only
// counts when the tier is full.
func (w *window) pop(full func() bool) (entry, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bytes <= w.limit || !full() {
		return entry{}, false
	}
	e := w.queue[w.head]
	w.queue[w.head] = entry{}
	if w.head++; w.head > len(w.queue)/2 {
		n := copy(w.queue, w.queue[w.head:])
		clear(w.queue[n:])
		w.queue, w.head = w.queue[:n], 0
	}
	w.bytes -= int64(e.MemorySize())
	return e, true
}

// admit puts a block into the window and moves on what falls out of it. The
// caller is the only one who writes the key.
func (t *Tier) admit(g *gate, key uint64, b block.Block) {
	e := t.census.enter(b.Retain())
	t.used.Add(int64(e.MemorySize()))
	g.mu.Lock()
	g.fresh[key] = e
	g.mu.Unlock()
	t.window.push(e)
	// One at a time: what has left the window and is not yet decided about would be
	// room for others' blocks, which their writers no longer hold.
	t.moving.Lock()
	defer t.moving.Unlock()
	for {
		oldest, ok := t.window.pop(func() bool { return t.used.Load() > t.capacity })
		if !ok {
			return
		}
		t.moveOn(oldest)
	}
}

// moveOn hands a block of the window to ristretto, with the window's reference.
// It stays readable in the window until ristretto has decided, since a lookup
// retains it or misses; and nobody else writes it while it does.
func (t *Tier) moveOn(e entry) {
	key := keyOf(e.ID())
	t.offer(key, e)
	g := t.gateOf(key)
	g.mu.Lock()
	delete(g.fresh, key)
	g.mu.Unlock()
}
