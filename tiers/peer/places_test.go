package peer

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
)

// The line for places on the wire: who comes first in it, after what.
func TestPlacesGoToWhomAProgramWaitsForFirst(t *testing.T) {
	type arrival struct {
		after time.Duration // since the one before
		cause block.Cause
	}
	for name, tt := range map[string]struct {
		come []arrival
		turn []int
	}{
		"in the order they came":    {[]arrival{{0, block.Demand}, {0, block.Demand}, {0, block.Demand}}, []int{0, 1, 2}},
		"by cause":                  {[]arrival{{0, block.Repair}, {0, block.Prefetch}, {0, block.Demand}, {0, block.Prefetch}}, []int{2, 1, 3, 0}},
		"who has waited for long":   {[]arrival{{0, block.Repair}, {patientFor, block.Prefetch}, {0, block.Demand}}, []int{0, 2, 1}},
		"and others after that one": {[]arrival{{0, block.Prefetch}, {0, block.Repair}, {patientFor, block.Demand}}, []int{0, 1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := places{free: 1, looked: time.Now().Add(time.Hour)}
				source := block.NewArrival(block.Sum(nil), block.DefaultPool)
				defer source.Leave()
				enter := func(cause block.Cause) *place {
					ctx := block.WithCall(t.Context(), block.Call{Cause: cause})
					mine, err := p.enter(ctx, &waiting{ending: context.Background(), next: time.Hour}, source)
					if err != nil {
						t.Error(err)
					}
					return mine
				}
				held := enter(block.Repair)
				var turn []int
				for i, a := range tt.come {
					time.Sleep(a.after) //nolint:forbidigo // the clock of synctest
					go func() {
						mine := enter(a.cause)
						turn = append(turn, i) // one at a time has the only place
						p.exit(mine)
					}()
					synctest.Wait()
				}
				p.exit(held)
				synctest.Wait()
				if !slices.Equal(turn, tt.turn) || p.free != 1 {
					t.Errorf("%v, want %v; %d free", turn, tt.turn, p.free)
				}
			})
		})
	}
}
