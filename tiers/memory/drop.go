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
	var fresh []block.Block
	gone := map[uint64]bool{}
	var keys []uint64
	for _, id := range ids {
		key := keyOf(id)
		g := t.gateOf(key)
		if !t.beginDrop(g, key) {
			continue
		}
		keys = append(keys, key)
		b, held := t.dropFresh(g, key, id)
		if held {
			fresh, gone[key] = append(fresh, b), true
		} else {
			held = t.dropOld(key, id)
		}
		if held {
			dropped = append(dropped, id)
		}
	}
	t.window.remove(gone)
	for _, b := range fresh {
		t.exit(b)
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
func (t *Tier) dropFresh(g *gate, key uint64, id block.ID) (block.Block, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b, ok := g.fresh[key]
	if !ok || b.ID() != id {
		return block.Block{}, false
	}
	delete(g.fresh, key)
	return b, true
}

// dropOld takes a block out of ristretto, which releases it.
func (t *Tier) dropOld(key uint64, id block.ID) bool {
	b, ok := t.cache.Get(key)
	if !ok || b.ID() != id {
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
	for _, b := range w.queue[w.head:] {
		if gone[keyOf(b.ID())] {
			w.bytes -= int64(b.MemorySize())
			continue
		}
		rest = append(rest, b)
	}
	clear(w.queue[len(rest):])
	w.queue, w.head = rest, 0
}
