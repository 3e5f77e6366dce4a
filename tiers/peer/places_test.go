package peer

import (
	"context"
	"slices"
	"sync"
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

// More places are taken at once by those in line; fewer take none away.
func TestPlacesBecomeMoreAndFewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p places
		p.looked = time.Now().Add(time.Hour)
		p.resize(1)
		source := block.NewArrival(block.Sum(nil), block.DefaultPool)
		defer source.Leave()
		var on []*place
		var mu sync.Mutex
		for range 4 {
			go func() {
				mine, err := p.enter(t.Context(), &waiting{ending: context.Background(), next: time.Hour}, source)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				on = append(on, mine)
			}()
		}
		check := func(what string, want int) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if len(on) != want {
				t.Errorf("%s: %d are on the wire, want %d", what, len(on), want)
			}
		}
		leave := func() {
			mu.Lock()
			defer mu.Unlock()
			p.exit(on[0])
			on = on[1:]
		}
		check("one place", 1)
		p.resize(3)
		check("three", 3)
		p.resize(2)
		check("two, while three are taken", 3)
		leave()
		check("one has left", 2)
		leave()
		check("another has, and the last in line has come", 2)
		leave()
		leave()
		if p.free != 2 {
			t.Errorf("%d are free, want 2", p.free)
		}
	})
}
