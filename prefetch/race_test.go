package prefetch_test

import (
	"context"
	"sync"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/prefetch"
	"github.com/zonecache/cached/tiers"
)

// Programs read while runs of the same image begin and end, and everything is
// closed in the middle: no read fails and nothing is left behind.
func TestReadAheadUnderPrograms(t *testing.T) {
	m, image := newMedium(t, 60)
	m.takes = 0
	flight := tiers.Flight(m)
	a := prefetch.NewReadAhead(flight, prefetch.Options{Budget: 10 * size, Owner: func(id block.ID) bool { return id[0]%2 == 0 }})
	watched := a.Watch(flight)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for range 5 {
				ctx, cancel := context.WithCancel(context.Background())
				run := a.Start(ctx, image, block.Call{Image: "app"})
				for i := range image.Blocks {
					b, err := watched.ReadBlock(demand(t.Context()), image.Blocks[(i+w*7)%len(image.Blocks)].ID)
					if err != nil {
						t.Error(err)
					}
					b.Release()
				}
				if w%2 == 0 {
					run.Stop()
				}
				cancel()
			}
		})
	}
	wg.Go(func() {
		read(t, watched, image.Blocks[40].ID)
		a.Close()
	})
	wg.Wait()
	if a.Close(); a.Runs() != 0 {
		t.Fatalf("%d runs after Close", a.Runs())
	}
}
