package prefetch_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/prefetch"
)

func TestWarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, image := newMedium(t, 100)
		n := 0
		if err := prefetch.Warm(t.Context(), m, image.Blocks, 4, func(prefetch.Block) { n++ }); err != nil || n != 100 {
			t.Errorf("%d blocks, %v", n, err)
		}
		if m.most != 4 || m.causes[block.Repair] != 100 {
			t.Errorf("%d at a time, causes %v", m.most, m.causes)
		}
	})
}

func TestWarmTriesAgainAndGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, image := newMedium(t, 10)
		fails := map[block.ID]int{image.Blocks[3].ID: 2}
		r := block.ReaderFunc(func(ctx context.Context, id block.ID) (block.Block, error) {
			if fails[id]--; fails[id] >= 0 {
				return block.Block{}, block.ErrUnavailable
			}
			return m.ReadBlock(ctx, id)
		})
		n := 0
		count := func(prefetch.Block) { n++ }
		if err := prefetch.Warm(t.Context(), r, image.Blocks, 1, count); err != nil || n != 10 {
			t.Errorf("%d blocks, %v", n, err)
		}
		fails[image.Blocks[5].ID] = 100
		n = 0
		if err := prefetch.Warm(t.Context(), r, image.Blocks, 1, count); !errors.Is(err, block.ErrUnavailable) || n != 5 {
			t.Errorf("%d blocks, %v", n, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		n = 0
		if err := prefetch.Warm(ctx, m, image.Blocks, 1, count); !errors.Is(err, context.DeadlineExceeded) || n > 5 {
			t.Errorf("%d blocks, %v", n, err)
		}
	})
}
