package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/placement"
)

func TestANodeThatJoinsInherits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c", "d")
		b := z.block(1, 256<<10, "b", "c")
		whole := z.ring.Load()
		z.ring.Store(ringOf(slices.DeleteFunc(slices.Clone(whole.Members()), func(m placement.Member) bool { return m.Name == "b" })))
		z.nodes["a"].mustRead(b)
		z.ring.Store(whole)
		z.nodes["d"].mustRead(b)
		if n := z.originReads(b); n != 1 {
			t.Errorf("%d reads of the origin, want 1", n)
		}
		if n := z.nodes["b"].tier.Stats().Inherited; n != 1 {
			t.Errorf("inherited %d blocks, want 1", n)
		}
	})
}

func TestAnHeirThatIsNoHelp(t *testing.T) {
	for name, f := range map[string]fault{
		"dead":   {refuse: errCut},
		"silent": {hang: true},
		"stalls": {stall: 32 << 10},
		"lies":   {spoil: true},
		"forges": {reply: &placement.Reply{Verdict: placement.Redirect, To: "d"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := newZone(t, "a", "b", "c", "d")
				b := z.block(1, 256<<10, "b", "c")
				if err := z.nodes["c"].l1.WriteBlock(t.Context(), b); err != nil {
					t.Fatal(err)
				}
				z.fault = func(a asking) fault {
					if a.Kind == placement.Held {
						return f
					}
					return fault{}
				}
				started := time.Now()
				z.nodes["a"].mustRead(b)
				if took, n := time.Since(started), z.originReads(b); n != 1 || took > 2*heirPatience {
					t.Errorf("%d reads of the origin after %v", n, took)
				}
			})
		})
	}
}

// An heir that lives and lets the owner wait is not taken for a silent one.
func TestAnHeirThatQueuesIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c", "d")
		b := z.block(1, 256<<10, "b", "c")
		if err := z.nodes["c"].l1.WriteBlock(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		z.fault = func(asking) fault { return fault{waits: 4} }
		z.nodes["b"].mustRead(b)
		if n := z.originReads(b); n != 0 {
			t.Errorf("%d reads of the origin of a block that an heir had", n)
		}
	})
}

// In a zone of a few nodes a block can be hot, too.
func TestABlockIsHotInASmallZone(t *testing.T) {
	for _, tt := range []struct{ nodes, want int }{{1, 2}, {2, 2}, {3, 2}, {5, 2}, {9, 4}, {16, 7}, {17, 8}, {1000, DefaultHotAfter}} {
		members := make([]placement.Member, tt.nodes)
		for i := range members {
			members[i] = placement.Member{Name: fmt.Sprint(i), Weight: 1}
		}
		tier := Tier{opts: Options{HotAfter: DefaultHotAfter}}
		if got := tier.hotAfter(placement.NewRing(members)); got != tt.want {
			t.Errorf("%d nodes: hot after %d readers, want %d", tt.nodes, got, tt.want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c", "d")
		b := z.block(1, 10_000, "b", "c")
		z.nodes["a"].mustRead(b)
		z.nodes["d"].mustRead(b)
		synctest.Wait()
		if s := z.nodes["c"].tier.Stats(); s.OffersTaken != 1 {
			t.Errorf("two of three others have read the block: %d offers taken, want 1", s.OffersTaken)
		}
	})
}

// Asks that owners leave behind end by themselves, and are not many.
func TestAsksLeftBehindEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b")
		a := z.nodes["a"].tier
		forever := int(time.Hour / queuedEvery)
		z.fault = func(asking) fault { return fault{late: 2 * heirPatience, waits: forever} }
		n := a.peers.get("b")
		var wg sync.WaitGroup
		for i := range uint64(2 * maxLeftBehind) {
			into := block.NewArrival(block.Sum([]byte{byte(i)}), block.DefaultPool)
			began := time.Now()
			wg.Go(func() {
				_, err := a.fetchSoon(t.Context(), placement.Member{Name: "b"}, placement.Ask{Kind: placement.Held}, into)
				if took := time.Since(began); !errors.Is(err, errImpatient) || took > heirPatience {
					t.Errorf("got %v after %v", err, took)
				}
				into.Leave()
			})
		}
		wg.Wait()
		synctest.Wait()
		if left := n.left.Load(); left != maxLeftBehind {
			t.Errorf("%d asks are left behind, want %d", left, maxLeftBehind)
		}
		_ = rest(t.Context(), 2*a.opts.Budget)
		synctest.Wait()
		if left, under := n.left.Load(), len(n.fetches); left != 0 || under != 0 {
			t.Errorf("%d asks are left behind, %d under way, long after", left, under)
		}
	})
}

func TestHeirsOfOneWhoIsAlone(t *testing.T) {
	z := newZone(t, "a")
	blocktest.CheckError(t, z.nodes["a"].tier.Heirs(), block.Sum(nil), block.ErrNotFound)
}

func TestAHotBlockGetsAReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"}
		z := newZone(t, names...)
		b := z.block(1, 10_000, "b", "c")
		admission := z.nodes["m"].tier.Admission(AdmitHot)
		cold := z.block(2, 10_000, "b", "c")
		for _, name := range names {
			if name != "b" && name != "c" {
				z.nodes[name].mustRead(b)
				_ = rest(context.Background(), 100*time.Millisecond)
			}
		}
		z.nodes["m"].mustRead(cold)
		synctest.Wait()
		if s := z.nodes["b"].tier.Stats(); s.OffersGiven != 1 {
			t.Errorf("b offers %d times, want once", s.OffersGiven)
		}
		if s := z.nodes["c"].tier.Stats(); s.OffersTaken != 1 || s.Received != 1 {
			t.Errorf("c: %+v", s)
		}
		blocktest.CheckRead(t, z.nodes["c"].l1, b, block.Memory)
		if hot, other := admission.Admit(b.WithFrom(block.Peer)), admission.Admit(cold.WithFrom(block.Peer)); !hot || other {
			t.Errorf("m admits the hot one: %v, the cold one: %v", hot, other)
		}
	})
}

func TestOffersOfOthersThanTheOwnerAreIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c")
		b := z.block(1, 10_000, "b", "c")
		for _, from := range []string{"a", "c", "nobody"} {
			ask := placement.Ask{Kind: placement.Offer, Reader: from}
			if a, err := z.nodes["c"].tier.Answer(t.Context(), b.ID(), ask, nil); err != nil || a.Verdict != placement.Gone {
				t.Errorf("%+v, %v", a, err)
			}
		}
		synctest.Wait()
		if s := z.nodes["c"].tier.Stats(); s.OffersTaken != 0 || z.originReads(b) != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAdmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a")
		b := blocktest.Blocks(t, 1, 1, 100)[0].WithFrom(block.Peer)
		for _, p := range []Policy{AdmitHot, AdmitSecond, AdmitAlways} {
			if parsed, err := ParsePolicy(p.String()); err != nil || parsed != p {
				t.Errorf("%v: parsed %v, %v", p, parsed, err)
			}
			a := z.nodes["a"].tier.Admission(p)
			if a.Admit(b.WithFrom(block.Origin)) {
				t.Errorf("%v admits what local has kept", p)
			}
			first, second := a.Admit(b), a.Admit(b)
			if first != (p == AdmitAlways) || second != (p != AdmitHot) {
				t.Errorf("%v: %v, then %v", p, first, second)
			}
			_ = rest(context.Background(), ghostFor+time.Second)
			if third := a.Admit(b); third != (p == AdmitAlways) {
				t.Errorf("%v: later %v", p, third)
			}
		}
		if _, err := ParsePolicy("never"); err == nil {
			t.Error("never is no policy")
		}
	})
}

// An owner's read of its heirs must not wait for a node that waits for it.
func TestHeirsDoNotWaitInACircle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c", "d")
		z.delay = 20 * time.Millisecond
		b := z.block(1, 256<<10, "b", "c")
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
		defer cancel()
		took := z.burst(b)
		if err := z.nodes["c"].read(ctx, b); err != nil || took > 25*time.Millisecond {
			t.Errorf("%v, took %v", err, took)
		}
	})
}
