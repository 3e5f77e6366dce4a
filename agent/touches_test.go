package agent

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
)

// heard notes what a daemon is told of starts, and which blocks it was asked for
// on behalf of a program.
type heard struct {
	next  block.Reader
	index map[block.ID]uint32

	mu      sync.Mutex
	touched []uint32
	ready   int // of touched, when the start was ready; -1: it is not
	ended   bool
}

func (h *heard) Began(context.Context, string, *cachedv1.OpenImageRequest, *cachedv1.GetImageResponse) {
}

func (h *heard) note(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

func (h *heard) Ready(string) { h.note(func() { h.ready = len(h.touched) }) }
func (h *heard) Ended(string) { h.note(func() { h.ended = true }) }
func (h *heard) Touched(_ string, blocks []uint32) {
	h.note(func() { h.touched = append(h.touched, blocks...) })
}

func (h *heard) ReadBlock(ctx context.Context, id block.ID) (block.Block, error) {
	if block.CallFrom(ctx).Cause == block.Demand {
		h.note(func() { h.touched = append(h.touched, h.index[id]) })
	}
	return h.next.ReadBlock(ctx, id)
}

// The daemon hears of each block that a program reads, once, also of those that
// its agent had read ahead, before the program is ready and before the end.
func TestTheDaemonHearsOfAllThatAProgramReads(t *testing.T) {
	s := newStore(t, 200, 4096)
	h := &heard{next: s, index: map[block.ID]uint32{}, ready: -1}
	for i, ref := range s.manifest.Blocks {
		h.index[ref.ID] = uint32(i)
	}
	d := startDaemon(t, s)
	d.stop()
	d.store, d.starts = h, h
	d.start()
	img, err := Open(t.Context(), Options{Image: "img", Daemon: d.client})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		check(t, img, s, i*4096, 1024)
		check(t, img, s, i*4096+1024, 1024)
	}
	if img.Stats().AheadUsed == 0 {
		t.Fatal("nothing was read ahead")
	}
	if err := img.MarkReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		check(t, img, s, (100+i)*4096, 1024)
	}
	if err := img.Close(); err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	slices.Sort(h.touched)
	if h.ready != 100 || len(h.touched) != 110 || len(slices.Compact(h.touched)) != 110 || !h.ended {
		t.Errorf("told of %d blocks, of %d when it was ready, ended %v", len(h.touched), h.ready, h.ended)
	}
}
