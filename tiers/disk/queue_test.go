package disk

import (
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// A block that is offered while the writer moves its stored copy must be
// counted once: the moved copy would otherwise be used after its release.
func TestQueueAdoptsNothingTwice(t *testing.T) {
	q := newQueue(mib)
	offered, moved := blocktest.Block(1, 1000), blocktest.Block(1, 1000)
	defer offered.Release()
	if q.offer(offered) != accepted || q.offer(offered) != present {
		t.Fatal("an offer was accepted twice, or not once")
	}
	if q.adopt(moved) {
		t.Fatal("a pending block was adopted")
	}
	if _, ok := moved.TryRetain(); ok {
		t.Fatal("a refused block was not released")
	}
	q.done(offered.ID())
	if _, ok := q.lookup(offered.ID()); ok || q.bytes != 0 {
		t.Fatalf("done left %d bytes", q.bytes)
	}
	other := blocktest.Block(2, 1000)
	if !q.adopt(other) {
		t.Fatal("adopt refused a new block")
	}
	q.drain()
}

func TestQueueForgetsBeforeItOffers(t *testing.T) {
	q := newQueue(mib)
	b := blocktest.Blocks(t, 1, 1, 1000)[0]
	q.forget(b.ID(), location{segment: 3})
	q.offer(b)
	fresh, forgets := q.take(nil, mib)
	if len(fresh) != 1 || forgets[b.ID()].segment != 3 {
		t.Fatalf("took %d blocks, %v", len(fresh), forgets)
	}
	if fresh, forgets = q.take(nil, mib); len(fresh) != 0 || len(forgets) != 0 {
		t.Fatal("took the same twice")
	}
	q.close()
	q.forget(b.ID(), location{})
	if q.offer(blocktest.Blocks(t, 2, 1, 1000)[0]) != full {
		t.Fatal("a closed queue accepts")
	}
	for i := range 2 * maxForgets {
		q.forget(block.ID{byte(i), byte(i >> 8)}, location{})
	}
	q.drain()
}
