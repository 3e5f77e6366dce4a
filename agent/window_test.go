package agent

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/image"
)

// testRefs are references to blocks of n bytes each, and what a window fetches.
func testRefs(count, n int) ([]image.BlockRef, func(context.Context, image.BlockRef) (block.Block, error)) {
	refs := make([]image.BlockRef, count)
	seeds := map[block.ID]uint64{}
	for i := range refs {
		b := blocktest.Block(uint64(i), n)
		refs[i] = image.BlockRef{ID: b.ID(), Stored: uint32(n), Length: uint32(n)}
		seeds[b.ID()] = uint64(i)
		b.Release()
	}
	return refs, func(_ context.Context, ref image.BlockRef) (block.Block, error) {
		return blocktest.Block(seeds[ref.ID], n), nil
	}
}

// far is the deadline of readers who have time.
var far = time.Now().Add(100 * time.Hour)

func openWindow(t *testing.T, budget int64, fetch func(context.Context, image.BlockRef) (block.Block, error)) *window {
	t.Helper()
	w, err := newWindow(budget, fetch, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return w
}

func TestReadersOfOneBlockCostOneFetch(t *testing.T) {
	refs, fetch := testRefs(1, 5000)
	var fetches atomic.Int64
	release := make(chan struct{})
	w := openWindow(t, 1<<20, func(ctx context.Context, ref image.BlockRef) (block.Block, error) {
		fetches.Add(1)
		<-release
		return fetch(ctx, ref)
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			b, _, err := w.get(t.Context(), refs[0], far)
			if err != nil {
				t.Error(err)
				return
			}
			b.Release()
		})
	}
	gone, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		cancel()
		if b, _, err := w.get(gone, refs[0], far); err == nil {
			b.Release() // it may have come just in time
		} else if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	close(release)
	wg.Wait()
	if n := fetches.Load(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

func TestWindowKeepsItsBudget(t *testing.T) {
	refs, fetch := testRefs(50, 10_000)
	w := openWindow(t, 100_000, fetch)
	for range 3 {
		for _, ref := range refs {
			b, _, err := w.get(t.Context(), ref, far)
			if err != nil {
				t.Fatal(err)
			}
			b.Release()
		}
	}
	if w.bytes > w.budget || w.pieces.Len() > 10 {
		t.Errorf("%d bytes in %d pieces, want at most %d", w.bytes, w.pieces.Len(), w.budget)
	}
}

func TestAFailedFetchIsTriedAgain(t *testing.T) {
	refs, fetch := testRefs(1, 5000)
	broken := errors.New("broken")
	fails := true
	w := openWindow(t, 1<<20, func(ctx context.Context, ref image.BlockRef) (block.Block, error) {
		if fails {
			return block.Block{}, broken
		}
		return fetch(ctx, ref)
	})
	if _, _, err := w.get(t.Context(), refs[0], far); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	fails = false
	b, _, err := w.get(t.Context(), refs[0], far)
	if err != nil {
		t.Fatal(err)
	}
	b.Release()
}

func TestWindowUnderLoad(t *testing.T) {
	refs, fetch := testRefs(40, 3000)
	w := openWindow(t, 30_000, fetch)
	ahead := block.WithCall(t.Context(), block.Call{Cause: block.Prefetch})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 400 {
				k := (i*(g+3) + g) % len(refs)
				if i%5 == 0 {
					w.fetchAhead(ahead, refs[k:min(k+4, len(refs))], far)
				}
				b, _, err := w.get(t.Context(), refs[k], far)
				if err != nil {
					t.Error(err)
					return
				}
				if b.ID() != refs[k].ID || b.Len() != 3000 {
					t.Error("wrong block")
				}
				b.Release()
			}
		})
	}
	wg.Wait()
}

func TestAClosedWindowServesNobody(t *testing.T) {
	refs, fetch := testRefs(2, 100)
	w := openWindow(t, 1<<20, fetch)
	w.close()
	if _, _, err := w.get(t.Context(), refs[0], far); !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
	if n := w.fetchAhead(t.Context(), refs, far); n != 0 {
		t.Errorf("%d fetches", n)
	}
}

// An image that nobody reads keeps no blocks.
func TestAnIdleWindowForgets(t *testing.T) {
	refs, fetch := testRefs(3, 1000)
	synctest.Test(t, func(t *testing.T) {
		quiet := make(chan struct{}, 10)
		w, err := newWindow(1<<20, fetch, func() { quiet <- struct{}{} })
		if err != nil {
			t.Fatal(err)
		}
		defer w.close()
		for _, ref := range refs {
			b, _, err := w.get(t.Context(), ref, far)
			if err != nil {
				t.Fatal(err)
			}
			b.Release()
		}
		<-time.After(forgetAfter + time.Second)
		if len(quiet) != 0 {
			t.Error("it was read not long ago")
		}
		<-time.After(forgetAfter)
		if len(quiet) != 1 {
			t.Errorf("told %d times that nobody reads", len(quiet))
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if n := w.pieces.Len(); n != 0 || w.bytes != 0 {
			t.Errorf("%d blocks of %d bytes are left", n, w.bytes)
		}
	})
}
