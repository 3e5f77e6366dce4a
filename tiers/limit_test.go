package tiers_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/tiers"
)

func TestBackgroundBoundsWhatNoProgramWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := blocktest.Blocks(t, 1, 1, 100)[0]
		gate := make(chan struct{})
		entered := make(chan block.Cause, 10)
		r := tiers.Background(block.ReaderFunc(func(ctx context.Context, _ block.ID) (block.Block, error) {
			entered <- block.CallFrom(ctx).Cause
			<-gate
			return b.Retain(), nil
		}), 2)
		for _, cause := range []block.Cause{block.Repair, block.Prefetch, block.Repair, block.Prefetch, block.Demand, block.Demand, block.Demand} {
			go func() {
				got, err := r.ReadBlock(block.WithCall(context.Background(), block.Call{Cause: cause}), b.ID())
				if err != nil {
					t.Error(err)
				}
				got.Release()
			}()
			synctest.Wait()
		}
		if n := len(entered); n != 2+3 {
			t.Errorf("%d reads are in progress, want 2 that nobody waits for and 3 of programs", n)
		}
		for range 5 {
			<-entered
		}
		for range 7 { // one after the other
			gate <- struct{}{}
			synctest.Wait()
		}
		if first, second := <-entered, <-entered; first != block.Prefetch || second != block.Repair {
			t.Errorf("then %v and %v came, want prefetch before repair", first, second)
		}
	})
}
