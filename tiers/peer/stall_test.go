package peer

import (
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// A connection to an owner who lives that stalls, as where TCP waits to send lost
// packets again, or that does not come to be in time, is no death: the owner is asked
// again, the zone is told nothing, and nobody reads the origin in the owner's place.
func TestATroubledConnectionToANodeThatLives(t *testing.T) {
	for name, trouble := range map[string]fault{
		"stalls":     {hang: true},
		"not dialed": {refuse: fmt.Errorf("dial: %w: %w", os.ErrDeadlineExceeded, block.ErrUnavailable)},
	} {
		for _, lives := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, lives %v", name, lives), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					z := newZone(t, "a", "b", "c")
					told := 0
					a := z.start("a", Options{
						Alive:   func(node string) bool { return lives && node == "b" },
						Suspect: func(string, string) { told++ },
					})
					b := z.block(1, 100_000, "b", "c")
					z.nodes["b"].mustRead(b) // as the origin was read for another node before
					first := true
					z.fault = func(x asking) fault {
						if x.from == "a" && x.to == "b" && first {
							first = false
							return trouble
						}
						return fault{}
					}
					began := time.Now()
					a.mustRead(b)
					if took := time.Since(began); took > a.tier.opts.Budget {
						t.Errorf("took %v", took)
					}
					if reads := z.originReads(b); lives && (reads != 1 || told != 0) || !lives && told == 0 {
						t.Errorf("%d reads of the origin, the zone was told %d times", reads, told)
					}
					for i, x := range z.asked(b.ID()) {
						if x.from == "a" && lives && (x.to != "b" || x.Lost != "" || x.Kind != placement.Want) {
							t.Errorf("ask %d: %+v", i, x)
						}
					}
				})
			})
		}
	}
}

// A node that stalls again and again is left, whatever it says of itself.
func TestANodeThatLivesAndOnlyStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c")
		a := z.start("a", Options{Alive: func(string) bool { return true }, Budget: 20 * time.Second})
		b := z.block(1, 100_000, "b", "c")
		z.fault = func(x asking) fault { return fault{hang: x.to == "b"} }
		a.mustRead(b)
		asks := 0
		for _, x := range z.asked(b.ID()) {
			if x.from == "a" && x.to == "b" {
				asks++
			}
		}
		if asks != 1+maxStalls {
			t.Errorf("asked %d times", asks)
		}
		if h := a.tier.Health(); h[0].State == Closed && h[0].Failures == 0 {
			t.Errorf("nobody noticed: %+v", h)
		}
	})
}

// A node that left the ring and is back in it is asked at once; what it failed before
// counts until it has sent a block.
func TestANodeThatReturnsIsAskedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c")
		a := z.nodes["a"]
		first, second := z.block(1, 1000, "b", "c"), z.block(2, 1000, "b", "c")
		z.fault = func(x asking) fault { return fault{hang: x.from == "a" && x.to == "b"} }
		a.mustRead(first)
		if h := a.tier.Health(); h[0].State != Open {
			t.Fatalf("b is not passed by: %+v", h)
		}
		z.fault = nil
		a.tier.Returned("b")
		if h := a.tier.Health(); h[0].State != Closed || h[0].Row == 0 {
			t.Errorf("b: %+v", h)
		}
		a.mustRead(second)
		asks := z.asked(second.ID())
		if n := z.originReads(second); n != 1 || asks[0].to != "b" || asks[0].Kind != placement.Want {
			t.Errorf("%d reads of the origin, asks %+v", n, asks)
		}
		if h := a.tier.Health(); h[0].Row != 0 {
			t.Errorf("after a block: %+v", h)
		}
	})
}
