package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/prefetch"
)

// aheadOf returns starts that read through reader, and what begins one of an
// image of n blocks.
func aheadOf(t *testing.T, reader block.Reader) (*starts, func(session string, n int)) {
	t.Helper()
	ahead := prefetch.NewReadAhead(reader, prefetch.Options{})
	t.Cleanup(func() { ahead.Close() })
	log := slog.New(slog.DiscardHandler)
	n := &node{ahead: ahead, packs: prefetch.NewPacks(prefetch.PacksOptions{Reader: reader})}
	n.residents = newResidents(n, "n", filepath.Join(t.TempDir(), "residents.json"), log)
	s := newStarts(n, log)
	return s, func(session string, n int) {
		manifest := &cachedv1.Manifest{}
		for i := range n {
			id := block.Sum(fmt.Append(nil, session, i))
			manifest.Blocks = append(manifest.Blocks, &cachedv1.BlockRef{Id: id[:], StoredLength: 1})
		}
		s.Began(t.Context(), session, &cachedv1.OpenImageRequest{Image: "i", ReadAhead: cachedv1.ReadAhead_READ_AHEAD_IMAGE},
			&cachedv1.GetImageResponse{ManifestId: block.Sum([]byte(session)).String(), Manifest: manifest})
	}
}

// never is a reader of blocks that never come.
var never = block.ReaderFunc(func(ctx context.Context, _ block.ID) (block.Block, error) {
	<-ctx.Done()
	return block.Block{}, ctx.Err()
})

func (s *starts) sizes() (runs, order, blocks int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open), len(s.order), s.blocks
}

// A tenant that opens images and never closes them does not fill the heap with
// runs that have read everything, or given up.
func TestStartsThatNeverCloseLeaveNoFinishedRunBehind(t *testing.T) {
	gone := block.ReaderFunc(func(context.Context, block.ID) (block.Block, error) { return block.Block{}, block.ErrUnavailable })
	s, begin := aheadOf(t, gone)
	for i := range 20 {
		begin(fmt.Sprint("s", i), 100) // gives up after 32 failures
		begin(fmt.Sprint("empty", i), 0)
	}
	for late := time.After(10 * time.Second); ; {
		runs, order, blocks := s.sizes()
		if runs == 0 && order == 0 && blocks == 0 {
			break
		}
		select {
		case <-late:
			t.Fatalf("%d finished runs of %d blocks are kept, %d in order", runs, blocks, order)
		case <-time.After(time.Millisecond):
		}
	}
}

// Runs that cannot finish are bounded, by number and by what they keep; the
// oldest ends.
func TestManyStartsEndTheOldestRun(t *testing.T) {
	s, begin := aheadOf(t, never)
	for i := range maxStarts + 10 {
		begin(fmt.Sprint("s", i), 2)
	}
	runs, order, blocks := s.sizes()
	if runs != maxStarts || order != maxStarts || blocks != 2*maxStarts || s.ahead.Runs() != maxStarts {
		t.Errorf("%d runs, %d in order, %d blocks, %d run: want %d", runs, order, blocks, s.ahead.Runs(), maxStarts)
	}
	if s.open["s9"] != nil || s.open["s10"] == nil {
		t.Error("not the oldest ended")
	}
	s.Ended("s10")
	s.Ended("s10")
	s.Ended("unknown")
	begin("large", maxAhead-2)
	if runs, _, blocks := s.sizes(); runs != 2 || blocks != maxAhead || s.open["large"] == nil || s.ahead.Runs() != 2 {
		t.Errorf("%d runs of %d blocks go on beside one of the largest image", runs, blocks)
	}
	begin("too large", maxAhead+1)
	if s.open["too large"] != nil {
		t.Error("an image that is too large is read ahead of")
	}
}

// Starts for which everything is read make room for one that is still read ahead of, but
// not those that are learned from.
func TestStartsThatHaveReadEverythingGoBeforeOneThatReads(t *testing.T) {
	slow := block.Sum(fmt.Append(nil, "reading", 0))
	s, begin := aheadOf(t, block.ReaderFunc(func(ctx context.Context, id block.ID) (block.Block, error) {
		if id == slow {
			<-ctx.Done()
		}
		return block.Block{}, ctx.Err()
	}))
	begin("reading", 1)
	for i := 1; i < maxStarts; i++ {
		begin(fmt.Sprint("read", i), 2)
	}
	starts := func() map[string]*start {
		s.mu.Lock()
		defer s.mu.Unlock()
		return maps.Clone(s.open)
	}
	idle := func() (n int) {
		for _, st := range starts() {
			if st.run.Idle() {
				n++
			}
		}
		return n
	}
	eventually(t, "all but one have", func() bool { return idle() == maxStarts-1 })
	starts()["read1"].recording = &prefetch.Recording{}
	begin("small", 2)
	if open := starts(); len(open) != maxStarts || open["reading"] == nil || open["read1"] == nil || open["read2"] != nil || open["small"] == nil {
		t.Fatalf("%d starts go on: the one that reads %t, the recorded one %t, the oldest other %t", len(open), open["reading"] != nil, open["read1"] != nil, open["read2"] != nil)
	}
	eventually(t, "the small one has, too", func() bool { return idle() == maxStarts-1 })
	begin("large", maxAhead-3)
	if open := starts(); len(open) != 3 || open["reading"] == nil || open["read1"] == nil || open["large"] == nil {
		t.Errorf("%d starts go on beside a large one: the one that reads %t, the recorded one %t", len(open), open["reading"] != nil, open["read1"] != nil)
	}
}

// A host that has half of what a start needs, by bytes, reads the rest by blocks.
func TestMostlyHere(t *testing.T) {
	blocks := make([]prefetch.Block, 9)
	for i := range blocks {
		blocks[i] = prefetch.Block{ID: block.Sum([]byte{byte(i)}), Length: 100}
	}
	blocks[8].Length = 600
	for _, c := range []struct {
		name  string
		held  int // the first ones
		order []uint32
		want  bool
	}{
		{"half", 3, []uint32{0, 1, 2, 3, 4, 5}, true},
		{"a third", 2, []uint32{0, 1, 2, 3, 4, 5}, false},
		{"half of the blocks, a quarter of the bytes", 2, []uint32{0, 1, 7, 8}, false},
		{"all that are blocks of the image", 2, []uint32{0, 1, 9, 1 << 20}, true},
		{"nothing to read", 9, nil, false},
		{"no block of the image", 9, []uint32{9}, false},
	} {
		held := map[block.ID]bool{}
		for _, b := range blocks[:c.held] {
			held[b.ID] = true
		}
		s := &starts{held: func(id block.ID) bool { return held[id] }}
		if got := s.mostlyHere(blocks, c.order); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// Starts that have their pages, and ask for nothing, are in nobody's way.
func TestStartsThatHoldPagesEndNoOthers(t *testing.T) {
	s, begin := aheadOf(t, never)
	for i := range 10 {
		begin(fmt.Sprint("s", i), 2)
	}
	hold := func(session string) {
		req := &cachedv1.OpenImageRequest{Image: "i", PagesHeld: true}
		st, err := newStart(req, &cachedv1.GetImageResponse{ManifestId: block.Sum([]byte(session)).String()})
		if err != nil {
			t.Fatal(err)
		}
		var ctx context.Context
		ctx, st.over = context.WithCancel(t.Context())
		s.beganHeld(ctx, session, st, block.Call{})
	}
	for i := range maxStarts {
		hold(fmt.Sprint("held", i))
	}
	begin("last", 2)
	if runs, order, blocks := s.sizes(); runs != maxStarts || order != maxStarts || blocks != 11*2 || s.ahead.Runs() != 11 {
		t.Errorf("%d starts, %d in order, %d blocks, %d run: want %d with 11 that run", runs, order, blocks, s.ahead.Runs(), maxStarts)
	}
	s.close()
	if runs, order, blocks := s.sizes(); runs != 0 || order != 0 || blocks != 0 {
		t.Errorf("%d starts of %d blocks are kept, %d in order", runs, blocks, order)
	}
}
