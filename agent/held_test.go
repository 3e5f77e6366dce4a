package agent

import (
	"sync/atomic"
	"testing"

	"github.com/zonecache/cached/image"
)

// Pages that are held are not read ahead, and when they turn out to be gone the rest
// comes as in any start.
func TestHeldPagesThatAreGone(t *testing.T) {
	s := newStore(t, 200, 4096)
	h := &heard{}
	for i := range 100 {
		h.expected = append(h.expected, uint32(100+i))
	}
	d := h.daemon(t, s)
	img := openTest(t, Options{Daemon: d.client, PagesHeld: true})
	for i := range heldMisses - 1 { // backwards, so that nothing is guessed
		check(t, img, s, (98-3*i)*4096, 1024)
	}
	if img.expect.running.Load() || img.touched(100) {
		t.Error("what is expected is read ahead of a start that has its pages")
	}
	h.note(func() {
		if !h.held {
			t.Error("the daemon does not know of them")
		}
	})
	check(t, img, s, (98-3*heldMisses)*4096, 1024)
	waitFor(t, func() bool { return img.window.has(s.manifest.Blocks[100]) })
}

// An image that rests has no session and no memory, and can be read.
func TestAnImageThatRests(t *testing.T) {
	s := newStore(t, 20, 4096)
	h := &heard{}
	d := h.daemon(t, s)
	img, err := Open(t.Context(), Options{Image: "img", Daemon: d.client})
	if err != nil {
		t.Fatal(err)
	}
	check(t, img, s, 0, 4096)
	var trimmed atomic.Bool
	img.window.quiet = func() { trimmed.Store(true) }
	img.Rest()
	h.note(func() {
		if !h.ended || !trimmed.Load() || img.window.has(s.manifest.Blocks[0]) {
			t.Errorf("ended %v, trimmed %v, and a block is there: %v", h.ended, trimmed.Load(), img.window.has(s.manifest.Blocks[0]))
		}
		h.ended = false
	})
	check(t, img, s, 4096, 4096)
	if err := img.Close(); err != nil {
		t.Fatal(err)
	}
	h.note(func() {
		if h.ended {
			t.Error("the session ended twice")
		}
	})
}

func (w *window) has(ref image.BlockRef) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pieces.Contains(ref)
}
