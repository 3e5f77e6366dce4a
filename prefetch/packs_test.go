package prefetch_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/prefetch"
)

// Who waits for a block of a part makes that part urgent, and none behind it.
func TestWhoWaitsForAPartHurriesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacked(t, 16)
		urgent := map[block.ID]bool{}
		var mu sync.Mutex
		packs := prefetch.NewPacks(prefetch.PacksOptions{Ahead: 2, Reader: block.ReaderFunc(func(ctx context.Context, id block.ID) (block.Block, error) {
			call := block.CallFrom(ctx)
			if call.Cause != block.Prefetch || call.Bytes != 4*size {
				t.Errorf("a part is read for %v, %d bytes", call.Cause, call.Bytes)
			}
			select {
			case <-call.Urgency.Raised():
				mu.Lock()
				urgent[id] = true
				mu.Unlock()
			case <-ctx.Done():
				return block.Block{}, ctx.Err()
			}
			return p.medium.ReadBlock(ctx, id)
		})})
		t.Cleanup(func() { packs.Close() })
		defer packs.Open(p.pack, p.image.Blocks)()
		waits := new(block.Urgency)
		call := block.CallFrom(ahead(t.Context()))
		call.Urgency = waits
		var readers sync.WaitGroup
		readers.Go(func() { blocktestRead(t, packs, block.WithCall(t.Context(), call), p.image.Blocks[0].ID, 0) })
		readers.Go(func() { blocktestRead(t, packs, ahead(t.Context()), p.image.Blocks[4].ID, 4) })
		synctest.Wait()
		if len(urgent) != 0 {
			t.Error("nobody waits so far")
		}
		waits.Raise() // a program has joined the first
		synctest.Wait()
		if !urgent[p.pack.Parts[0].ID] || len(urgent) != 1 {
			t.Errorf("%d parts are urgent, the first: %v", len(urgent), urgent[p.pack.Parts[0].ID])
		}
		blocktestRead(t, packs, demand(t.Context()), p.image.Blocks[7].ID, 7) // another block of the second
		if !urgent[p.pack.Parts[1].ID] || len(urgent) != 2 {
			t.Errorf("%d parts are urgent, the second: %v", len(urgent), urgent[p.pack.Parts[1].ID])
		}
		readers.Wait()
	})
}

// The end of a start ends its parts, and what came in vain is counted.
func TestWhatAPackBringsInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacked(t, 12)
		p.takes = time.Second
		packs := p.open(t, prefetch.PacksOptions{Ahead: 1})
		shut := packs.Open(p.pack, p.image.Blocks)
		blocktestRead(t, packs, ahead(t.Context()), p.image.Blocks[1].ID, 1)
		go func() {
			if b, err := packs.ReadBlock(ahead(t.Context()), p.image.Blocks[8].ID); err == nil {
				t.Error("the last part came after all")
				b.Release()
			}
		}()
		pause(100 * time.Millisecond)
		began := time.Now()
		shut()
		if err := packs.Close(); err != nil || time.Since(began) > 0 {
			t.Errorf("closed after %v: %v", time.Since(began), err)
		}
		if got, want := packs.Wasted(), (prefetch.Count{Blocks: 3 + 4, Bytes: 7 * size}); got != want {
			t.Errorf("wasted %+v, want %+v", got, want)
		}
	})
}

// When the origin fails in the middle of a pack, what is left is read one by one, and
// nobody waits for it longer than it takes to fail.
func TestTheOriginFailsInMidPack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacked(t, 40)
		var failing atomic.Bool
		before := p.Before
		p.Before = func(ctx context.Context, id block.ID) error {
			if failing.Load() {
				return block.ErrUnavailable
			}
			return before(ctx, id)
		}
		packs := p.open(t, prefetch.PacksOptions{Ahead: 1})
		defer packs.Open(p.pack, p.image.Blocks)()
		blocktestRead(t, packs, ahead(t.Context()), p.image.Blocks[0].ID, 0)
		settle()
		failing.Store(true)
		if _, err := packs.ReadBlock(ahead(t.Context()), p.image.Blocks[30].ID); !errors.Is(err, block.ErrNotFound) {
			t.Errorf("while it fails: %v", err)
		}
		blocktestRead(t, packs, demand(t.Context()), p.image.Blocks[5].ID, 5) // which came before
		failing.Store(false)
		blocktestRead(t, packs, ahead(t.Context()), p.image.Blocks[20].ID, 20)
		if _, err := packs.ReadBlock(ahead(t.Context()), p.image.Blocks[31].ID); !errors.Is(err, block.ErrNotFound) {
			t.Errorf("a part that failed is asked for again: %v", err)
		}
	})
}
