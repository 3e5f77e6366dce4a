package peer

import (
	"testing"
	"testing/synctest"
	"time"
)

// warm has a read enough blocks of b for it to know how long b takes.
func (z *zone) warm(reader, owner, heir string) {
	for i := range uint64(2 * quantileMin) {
		z.nodes[reader].mustRead(z.block(1_000_000+100_000*i, 1000, owner, heir))
	}
}

func TestHedge(t *testing.T) {
	tests := []struct {
		name          string
		head          time.Duration // of the owner
		held          bool          // by the next holder
		delay         time.Duration // of the origin
		hedges, won   uint64
		atMost        time.Duration
		ownerIsBlamed bool
	}{
		{name: "the next holder has it", head: 300 * time.Millisecond, held: true, hedges: 1, won: 1, atMost: 10 * time.Millisecond},
		{name: "the next holder does not have it", head: 300 * time.Millisecond, hedges: 1, atMost: 301 * time.Millisecond},
		{name: "an owner that lets us wait lives", held: true, delay: 300 * time.Millisecond, atMost: 301 * time.Millisecond},
		{name: "nor is a quick answer hedged", held: true, head: 2 * time.Millisecond, atMost: 3 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := newZone(t, "a", "b", "c")
				z.warm("a", "b", "c")
				b := z.block(1, 256<<10, "b", "c")
				if tt.held {
					if err := z.nodes["c"].l1.WriteBlock(t.Context(), b); err != nil {
						t.Fatal(err)
					}
				}
				if tt.delay > 0 { // the next holder's copy must not spare the origin
					z.delay = tt.delay
					z.fault = func(a asking) fault {
						if a.from == "b" {
							return fault{refuse: errCut}
						}
						return fault{}
					}
				} else {
					z.fault = func(a asking) fault {
						if a.to == "b" {
							return fault{head: tt.head}
						}
						return fault{}
					}
				}
				before := z.nodes["a"].tier.Stats()
				started := time.Now()
				z.nodes["a"].mustRead(b)
				took := time.Since(started)
				s := z.nodes["a"].tier.Stats()
				if s.Hedges-before.Hedges != tt.hedges || s.HedgesWon-before.HedgesWon != tt.won || took > tt.atMost {
					t.Errorf("%d hedges, %d won, took %v; want %d, %d, %v",
						s.Hedges-before.Hedges, s.HedgesWon-before.HedgesWon, took, tt.hedges, tt.won, tt.atMost)
				}
				if s.Failures != 0 {
					t.Errorf("failures: %+v", s)
				}
			})
		})
	}
}

// A winner that breaks off is a source that died, like any other.
func TestAHedgeThatWonBreaksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c", "d")
		z.warm("a", "b", "c")
		b := z.block(1, 256<<10, "b", "c")
		if err := z.nodes["c"].l1.WriteBlock(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		z.fault = func(a asking) fault {
			switch {
			case a.to == "b" && a.Lost == "" && a.from == "a":
				return fault{head: 300 * time.Millisecond}
			case a.to == "c" && a.from == "a":
				return fault{after: 64 << 10}
			}
			return fault{}
		}
		z.nodes["a"].mustRead(b)
		s := z.nodes["a"].tier.Stats()
		if s.HedgesWon != 1 || s.Orphans != 1 || s.ResumedBytes != 64<<10 {
			t.Errorf("%+v", s)
		}
	})
}

func TestHedgesAreFewerThanTheirShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c")
		z.warm("a", "b", "c")
		z.fault = func(a asking) fault {
			if a.to == "b" {
				return fault{head: 50 * time.Millisecond} // always
			}
			return fault{}
		}
		const reads = 400
		for i := range uint64(reads) {
			z.nodes["a"].mustRead(z.block(50_000_000+100_000*i, 1000, "b", "c"))
		}
		if n := z.nodes["a"].tier.Stats().Hedges; n == 0 || n > reads*hedgeShare+hedgeBurst {
			t.Errorf("%d hedges of %d reads", n, reads)
		}
	})
}

func TestQuantile(t *testing.T) {
	var q quantile
	if _, ok := q.value(); ok {
		t.Error("known without a time")
	}
	for i := range 1000 {
		q.add(time.Duration(i%100+1) * time.Millisecond)
	}
	if d, ok := q.value(); !ok || d < 90*time.Millisecond || d > 115*time.Millisecond {
		t.Errorf("p95 of 1..100 ms: %v", d)
	}
	for range 4 * quantileHalve {
		q.add(time.Millisecond)
	}
	if d, _ := q.value(); d > 2*time.Millisecond {
		t.Errorf("after many of 1 ms: %v", d)
	}
	for _, d := range []time.Duration{0, -1, time.Hour} {
		q.add(d)
	}
}
