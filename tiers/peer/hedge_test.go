package peer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/internal/figure"
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
		n := z.nodes["a"].tier.Stats().Hedges
		figure.Report(t, "peer.hedges_of_slow_owners", float64(n)/reads, "of reads")
		if n == 0 || n > reads*hedgeShare+hedgeBurst {
			t.Errorf("%d hedges of %d reads", n, reads)
		}
	})
}

func TestQuantile(t *testing.T) {
	var q quantile
	if _, ok := q.value(0.95); ok {
		t.Error("known without a time")
	}
	for i := range 1000 {
		q.add(time.Duration(i%100+1) * time.Millisecond)
	}
	if d, ok := q.value(0.95); !ok || d < 90*time.Millisecond || d > 115*time.Millisecond {
		t.Errorf("p95 of 1..100 ms: %v", d)
	}
	for range 4 * quantileHalve {
		q.add(time.Millisecond)
	}
	if d, _ := q.value(0.95); d > 2*time.Millisecond {
		t.Errorf("after many of 1 ms: %v", d)
	}
	for _, d := range []time.Duration{0, -1, time.Hour} {
		q.add(d)
	}
}

// What hedges are worth where one read in fifty meets a pause of its owner, by
// when they are sent and how many there may be (docs/adr/0009-hedging.md).
func TestWhatHedgesAreWorth(t *testing.T) {
	type setting struct{ after, share float64 }
	settings := []setting{{0.95, 0.05}}
	reads := 600
	if figure.Full() {
		settings = append(settings, setting{0.5, 0.05}, setting{0.9, 0.05}, setting{0.99, 0.05}, setting{0.95, 0.01}, setting{0.95, 0.2})
		reads = 4000
	}
	for name, unit := range map[string]time.Duration{"fast": 300 * time.Microsecond, "slow": 10 * time.Millisecond} {
		without := hedged(t, name, unit, reads, 0, 0)
		for _, s := range settings {
			if with := hedged(t, name, unit, reads, s.after, s.share); s == settings[0] && with > without/2 {
				t.Errorf("%s: p99 %v with hedges, %v without", name, with, without)
			}
		}
	}
}

// hedged reads a block of an owner whose first byte takes the unit and a random
// part more, and returns the p99.
func hedged(t *testing.T, name string, unit time.Duration, reads int, after, share float64) (p99 time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c")
		h := &z.nodes["a"].tier.hedges
		h.after, h.share = after, share
		rnd := rand.New(rand.NewPCG(1, 2))
		z.fault = func(asking) fault {
			head := time.Duration((1 + rnd.ExpFloat64()) * float64(unit))
			if rnd.IntN(50) == 0 {
				head += time.Duration(20+rnd.IntN(180)) * unit
			}
			return fault{head: head, chunk: 100 * time.Microsecond}
		}
		b := z.block(1, 256<<10, "b", "c")
		for _, holder := range []string{"b", "c"} {
			if err := z.nodes[holder].l1.WriteBlock(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		var took []time.Duration
		for range reads {
			started := time.Now()
			z.nodes["a"].mustRead(b)
			took = append(took, time.Since(started))
			z.nodes["a"].l1.Remove(b.ID())
			_ = rest(context.Background(), 2*lingerFor)
		}
		slices.Sort(took)
		at := func(q float64) float64 { return took[int(q*float64(len(took)))].Seconds() * 1e3 }
		name = fmt.Sprintf("peer.hedge.%s.after_p%.0f.at_most_%.0f%%", name, after*100, share*100)
		figure.Report(t, name+".p50", at(0.5), "ms")
		figure.Report(t, name+".p99", at(0.99), "ms")
		figure.Report(t, name+".p99.9", at(0.999), "ms")
		figure.Report(t, name+".extra", float64(z.nodes["a"].tier.Stats().Hedges)/float64(reads), "of reads")
		p99 = took[len(took)*99/100]
	})
	return p99
}
