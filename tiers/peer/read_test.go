package peer

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/placement"
)

func TestReadComesFromTheOwnerWhoReadsTheOriginOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c")
		z.delay = 20 * time.Millisecond
		b := z.block(1, 256<<10, "b")
		blocktest.CheckRead(t, z.nodes["a"].all, b, block.Peer)
		blocktest.CheckRead(t, z.nodes["a"].all, b, block.Memory)
		blocktest.CheckRead(t, z.nodes["b"].all, b, block.Memory)
		if n := z.originReads(b); n != 1 {
			t.Errorf("%d reads of the origin, want 1", n)
		}
		if s := z.nodes["a"].tier.Stats(); s.Received != 1 || s.ReceivedBytes != uint64(b.Len()) || s.ReceivedBroken != 0 {
			t.Errorf("a: %+v", s)
		}
		if s := z.nodes["b"].tier.Stats(); s.Sent != 1 || s.SentBytes != uint64(b.Len()) || s.SentBroken != 0 {
			t.Errorf("b: %+v", s)
		}
	})
}

func TestNobodyElseIsNotFoundAtOnce(t *testing.T) {
	z := newZone(t, "a")
	blocktest.CheckError(t, z.nodes["a"].tier, block.Sum([]byte("x")), block.ErrNotFound)
	z.ring.Store(placement.NewRing(nil))
	blocktest.CheckError(t, z.nodes["a"].tier, block.Sum([]byte("x")), block.ErrNotFound)
	if len(z.asks) != 0 {
		t.Errorf("asked %v", z.asks)
	}
}

func TestNoSuchBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b")
		b := z.block(1, 1000, "b")
		delete(z.blocks, b.ID())
		blocktest.CheckError(t, z.nodes["a"].all, b.ID(), block.ErrNotFound)
		if h := z.nodes["a"].tier.Health(); h[0].State != Closed || h[0].Failures != 0 {
			t.Errorf("b is blamed: %+v", h)
		}
	})
}

// burst has all nodes read the block at once and returns how long it took.
func (z *zone) burst(b block.Block) time.Duration {
	started := time.Now()
	var wg sync.WaitGroup
	for _, n := range z.nodes {
		select {
		case <-n.gone():
		default:
			wg.Go(func() { n.mustRead(b) })
		}
	}
	wg.Wait()
	return time.Since(started)
}

func TestABurstIsPassedOnWhileItArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := make([]string, 40)
		for i := range names {
			names[i] = "n" + string(rune('A'+i))
		}
		z := newZone(t, names...)
		z.delay = 20 * time.Millisecond
		z.fault = func(asking) fault { return fault{chunk: time.Millisecond} }
		b := z.block(1, 256<<10, names[7])
		took := z.burst(b)
		if n := z.originReads(b); n != 1 {
			t.Errorf("%d reads of the origin, want 1", n)
		}
		given := uint64(0)
		for _, n := range z.nodes {
			given += n.tier.Stats().RedirectsGiven
		}
		// One after the other at the owner, two at a time, would take 320 ms; each
		// stage of a tree that stores before it forwards, 16.
		if given == 0 || took > 80*time.Millisecond {
			t.Errorf("%d redirects, took %v", given, took)
		}
	})
}

func TestGoneLeadsBackToTheOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c", "d")
		z.fault = func(a asking) fault {
			if a.to == "b" && a.from == "c" && a.Hops == 0 && a.Stale == "" {
				return fault{reply: &placement.Reply{Verdict: placement.Redirect, To: "d"}}
			}
			return fault{}
		}
		b := z.block(1, 100_000, "b")
		z.nodes["c"].mustRead(b)
		asks := z.asked(b.ID())
		if back := asks[2]; back.to != "b" || back.Stale != "d" || z.nodes["c"].tier.Stats().GoneTaken != 1 {
			t.Errorf("asked %+v", asks)
		}
	})
}

func TestADeadOwnersSuccessorReadsTheOriginOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c", "d", "e")
		z.delay = 20 * time.Millisecond
		b := z.block(1, 100_000, "b", "c")
		z.kill("b")
		took := z.burst(b)
		if n := z.originReads(b); n != 1 {
			t.Errorf("%d reads of the origin, want 1", n)
		}
		if took > 200*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}

func TestABrokenTransferIsResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c", "d")
		b := z.block(1, 256<<10, "b", "c")
		z.fault = func(a asking) fault {
			if a.to == "b" && a.from == "a" {
				return fault{after: 64 << 10}
			}
			return fault{}
		}
		z.nodes["a"].mustRead(b)
		s := z.nodes["a"].tier.Stats()
		if s.ResumedBytes != 64<<10 || s.ReceivedBytes != uint64(b.Len()) || s.ReceivedBroken != 64<<10 || s.Orphans != 1 {
			t.Errorf("%+v", s)
		}
		if s := z.nodes["b"].tier.Stats(); s.Sent != 1 || s.SentBytes != uint64(b.Len()+64<<10) || s.SentBroken != 64<<10 { // whole to c
			t.Errorf("b: %+v", s)
		}
		asks := z.asked(b.ID())
		if a := asks[2]; a.from != "a" || a.to != "c" || a.Kind != placement.Instead || a.Lost != "b" || !a.Alone || a.Offset != 64<<10 {
			t.Errorf("asks %+v", asks)
		}
	})
}

func TestASilentSourceIsGivenUp(t *testing.T) {
	for _, f := range []fault{{hang: true}, {stall: 32 << 10}} {
		synctest.Test(t, func(t *testing.T) {
			z := newZone(t, "a", "b", "c")
			b := z.block(1, 256<<10, "b", "c")
			z.fault = func(a asking) fault {
				if a.to == "b" {
					return f
				}
				return fault{}
			}
			started := time.Now()
			z.nodes["a"].mustRead(b)
			if took := time.Since(started); took > 3*DefaultSilence+4*DefaultPerDepth/2 {
				t.Errorf("took %v", took)
			}
			h := z.nodes["a"].tier.Health()[0]
			if h.Node != "b" || h.State != Open || h.Stalled != 1 {
				t.Errorf("%+v", h)
			}
			// The next read passes it by.
			next := z.block(2, 256<<10, "b", "c")
			started = time.Now()
			z.nodes["a"].mustRead(next)
			if took := time.Since(started); took > 200*time.Millisecond {
				t.Errorf("the second took %v", took)
			}
		})
	}
}

func TestWrongBytesAreCountedAndReadElsewhere(t *testing.T) {
	for _, liar := range []string{"b", "d"} {
		synctest.Test(t, func(t *testing.T) {
			z := newZone(t, "a", "b", "c", "d")
			b := z.block(1, 256<<10, "b", "c")
			z.nodes["d"].mustRead(b)
			z.fault = func(a asking) fault {
				switch {
				case a.to == liar:
					return fault{spoil: true}
				case a.to == "b" && a.from == "a" && a.Hops == 0:
					return fault{reply: &placement.Reply{Verdict: placement.Redirect, To: "d"}}
				}
				return fault{}
			}
			z.nodes["a"].mustRead(b)
			for _, h := range z.nodes["a"].tier.Health() {
				if lies := h.Node == liar; lies != (h.Wrong == 1) || lies != (h.State == Open) {
					t.Errorf("%+v", h)
				}
			}
		})
	}
}

// Whose bytes were wrong is not known when two sources sent them: neither is
// blamed, and the owner sends all of them.
func TestWrongBytesOfTwoSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c", "d")
		b := z.block(1, 256<<10, "b", "c")
		first := true
		z.fault = func(a asking) fault {
			if a.from == "a" && a.to == "b" && first {
				first = false
				return fault{spoil: true, after: 64 << 10}
			}
			return fault{}
		}
		z.nodes["a"].mustRead(b)
		for _, h := range z.nodes["a"].tier.Health() {
			if h.Wrong != 0 {
				t.Errorf("blamed: %+v", h)
			}
		}
		if s := z.nodes["a"].tier.Stats(); s.Restarts != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestSizesThatDiffer(t *testing.T) {
	for _, by := range []int{-1000, 1000} {
		synctest.Test(t, func(t *testing.T) {
			z := newZone(t, "a", "b", "c", "d")
			b := z.block(1, 200_000, "b", "c")
			z.fault = func(a asking) fault {
				if a.to == "b" {
					return fault{resized: by}
				}
				return fault{}
			}
			z.nodes["a"].mustRead(b)
		})
	}
}

func TestTheBudgetIsHalfOfWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c")
		b := z.block(1, 256<<10, "b", "c")
		z.fault = func(asking) fault { return fault{chunk: 10 * time.Second / 16} } // slow, not silent
		z.nodes["a"].tier.opts.Silence = time.Minute
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		started := time.Now()
		if err := z.nodes["a"].read(ctx, b); err != nil {
			t.Error(err)
		}
		if took := time.Since(started); took > time.Second || took < 800*time.Millisecond || z.nodes["a"].tier.Stats().BudgetSpent != 1 {
			t.Errorf("took %v", took)
		}
	})
}

func TestACancelledReaderLeavesItsFollowersTheBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c")
		b := z.block(1, 256<<10, "b")
		z.fault = func(a asking) fault {
			if a.to == "b" && a.from == "c" && a.Hops == 0 {
				return fault{reply: &placement.Reply{Verdict: placement.Redirect, To: "a"}}
			}
			return fault{chunk: time.Millisecond}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := z.nodes["a"].read(ctx, b); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
		_ = rest(context.Background(), 5*time.Millisecond)
		wg.Go(func() { z.nodes["c"].mustRead(b) })
		_ = rest(context.Background(), 5*time.Millisecond)
		cancel()
		wg.Wait()
		if s := z.nodes["a"].tier.Stats(); s.Sent != 1 || s.Received != 1 {
			t.Errorf("a: %+v", s)
		}
		if s := z.nodes["c"].tier.Stats(); s.Received != 1 || s.Orphans != 0 {
			t.Errorf("c: %+v", s)
		}
	})
}

func TestACancelledReadStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c")
		b := z.block(1, 256<<10, "b")
		z.fault = func(asking) fault { return fault{chunk: time.Millisecond} }
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Millisecond, cancel)
		if err := z.nodes["a"].read(ctx, b); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if n := len(z.nodes["a"].tier.arrivals.open); n != 0 {
			t.Errorf("%d receptions go on", n)
		}
	})
}
