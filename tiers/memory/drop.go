package memory

import "github.com/zonecache/cached/block"

// Drop lets go of blocks, and returns which of them the tier held. Who reads one at
// the moment keeps a reference, and whoever offers one at the moment is not hindered.
func (t *Tier) Drop(ids []block.ID) (dropped []block.ID) {
	if t.capacity == 0 {
		return nil
	}
	// Nothing is on its way from the window to ristretto meanwhile.
	t.moving.Lock()
	defer t.moving.Unlock()
	var fresh []entry
	gone := map[uint64]bool{}
	var keys []uint64
	for _, id := range ids {
		key := keyOf(id)
		g := t.gateOf(key)
		if !t.beginDrop(g, key) {
			continue
		}
		keys = append(keys, key)
		e, held := t.dropFresh(g, key, id)
		if held {
			fresh, gone[key] = append(fresh, e), true
		} else {
			held = t.dropOld(key, id)
		}
		if held {
			dropped = append(dropped, id)
		}
	}
	t.window.remove(gone)
	for _, e := range fresh {
		t.exit(e)
	}
	if len(keys) > 0 { // else the tier may be closed
		t.cache.Wait()
	}
	for _, key := range keys {
		t.endWrite(t.gateOf(key), key)
	}
	return dropped
}

// beginDrop keeps others from writing the key, unless one does.
func (t *Tier) beginDrop(g *gate, key uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, busy := g.writing[key]; busy || g.closed {
		return false
	}
	g.writing[key] = struct{}{}
	t.writers.Add(1)
	return true
}

// dropFresh takes a block out of the gate; the reference is the caller's.
func (t *Tier) dropFresh(g *gate, key uint64, id block.ID) (entry, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	e, ok := g.fresh[key]
	if !ok || e.ID() != id {
		return entry{}, false
	}
	delete(g.fresh, key)
	return e, true
}

// dropOld takes a block out of ristretto, which releases it.
func (t *Tier) dropOld(key uint64, id block.ID) bool {
	e, ok := t.cache.Get(key)
	if !ok || e.ID() != id {
		return false
	}
	t.cache.Del(key)
	return true
}

// remove takes the blocks with these keys out of the queue.
func (w *window) remove(gone map[uint64]bool) {
	if len(gone) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	rest := w.queue[:0]
	for _, e := range w.queue[w.head:] {
		if gone[keyOf(e.ID())] {
			w.bytes -= int64(e.MemorySize())
			continue
		}
		rest = append(rest, e)
	}
	clear(w.queue[len(rest):])
	w.queue, w.head = rest, 0
}
