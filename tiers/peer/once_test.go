package peer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/placement"
)

// A replica is worth a read from the owner, and none from the origin.
func TestAReplicaIsNoReasonToReadTheOrigin(t *testing.T) {
	for name, trouble := range map[string]func(z *zone){
		"the owner is passed by": func(z *zone) {
			z.nodes["c"].tier.peers.get("b").breaker.failed(grave, "stalled", time.Now())
		},
		"the owner lets wait for ever": func(z *zone) {
			z.fault = func(asking) fault { return fault{waits: 1000} }
		},
		"the owner is silent": func(z *zone) {
			z.nodes["c"].tier.opts.Silence = time.Minute
			z.fault = func(asking) fault { return fault{hang: true} }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := newZone(t, "a", "b", "c")
				b := z.block(1, 1000, "b", "c")
				trouble(z)
				ask := placement.Ask{Kind: placement.Offer, Reader: "b"}
				if _, err := z.nodes["c"].tier.Answer(t.Context(), b.ID(), ask, nil); err != nil {
					t.Fatal(err)
				}
				_ = rest(context.Background(), time.Minute)
				if n := z.originReads(b); n != 0 {
					t.Errorf("%d reads of the origin", n)
				}
			})
		})
	}
}

// One node that holds a living owner for dead is no reason for who stands in to
// read the origin: it waits for the owner itself, and hears it.
func TestWhoStandsInWaitsForALivingOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c", "d")
		b := z.block(1, 1000, "b", "c")
		z.delay = 2 * time.Second
		done := make(chan struct{})
		go func() {
			defer close(done)
			z.nodes["c"].mustRead(b)
		}()
		_ = rest(t.Context(), time.Second)
		z.nodes["d"].tier.peers.get("b").breaker.failed(grave, "stalled", time.Now())
		z.nodes["d"].mustRead(b)
		<-done
		if n := z.originReads(b); n != 1 {
			t.Errorf("%d reads of the origin", n)
		}
	})
}

// A node whose own source has failed does not say "wait" any more: whoever waits
// there turns to the owner.
func TestNobodyWaitsForWhoHasLostItsSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c", "d")
		b := z.block(1, 1000, "b", "c")
		z.fault = func(a asking) fault {
			switch {
			case a.from == "a" && a.Lost == "":
				return fault{hang: true}
			case a.from == "a":
				return fault{waits: 20}
			case a.from == "d" && a.Hops == 0:
				return fault{reply: &placement.Reply{Verdict: placement.Redirect, To: "a"}}
			}
			return fault{}
		}
		z.nodes["a"].tier.opts.Silence = 100 * time.Millisecond
		done := make(chan struct{})
		go func() {
			defer close(done)
			z.nodes["a"].mustRead(b)
		}()
		_ = rest(t.Context(), 10*time.Millisecond)
		began := time.Now()
		z.nodes["d"].mustRead(b)
		if took := time.Since(began); took > time.Second {
			t.Errorf("the read took %v", took)
		}
		<-done
	})
}
