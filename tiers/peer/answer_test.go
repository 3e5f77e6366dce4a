package peer

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/placement"
)

func answer(t *testing.T, n *testNode, b block.Block, ask placement.Ask) Answer {
	t.Helper()
	a, err := n.tier.Answer(t.Context(), b.ID(), ask, nil)
	if err != nil {
		t.Fatalf("%+v: %v", ask, err)
	}
	return a
}

func TestAnswerByRole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c", "d")
		b := z.block(1, 10_000, "b", "c")
		tests := []struct {
			name string
			at   string
			ask  placement.Ask
			want placement.Verdict
			to   string
		}{
			{"neither the owner nor a holder", "d", placement.Ask{Reader: "a"}, placement.Gone, "b"},
			{"held at the owner, who does not hold it", "b", placement.Ask{Reader: "a", Kind: placement.Held}, placement.Gone, "b"},
			{"one who was lost after the asked one", "c", placement.Ask{Kind: placement.Instead, Reader: "a", Lost: "d"}, placement.Gone, "b"},
			{"a stranger was lost", "c", placement.Ask{Kind: placement.Instead, Reader: "a", Lost: "z"}, placement.Gone, "b"},
			{"sent on by one who stands in", "c", placement.Ask{Reader: "a", Lost: "b", Hops: 1}, placement.Gone, "b"},
			{"the owner was lost", "c", placement.Ask{Kind: placement.Instead, Reader: "a", Lost: "b"}, placement.Serve, ""},
			{"held", "c", placement.Ask{Reader: "a", Kind: placement.Held}, placement.Serve, ""},
			{"the owner", "b", placement.Ask{Reader: "a"}, placement.Serve, ""},
			{"all of it is there already", "b", placement.Ask{Reader: "d", Offset: 10_000}, placement.Serve, ""},
			{"over a tree there is none of", "b", placement.Ask{Reader: "d", Kind: placement.Climb}, placement.Gone, "b"},
		}
		for _, tt := range tests {
			a := answer(t, z.nodes[tt.at], b, tt.ask)
			if a.Verdict != tt.want || a.To != tt.to || a.Epoch == 0 {
				t.Errorf("%s: %v to %q, want %v to %q", tt.name, a.Verdict, a.To, tt.want, tt.to)
			}
			if a.Verdict == placement.Serve {
				a.Done(a.Source.Size()-tt.ask.Offset, nil)
				a.Done(0, errors.New("twice is harmless"))
			}
		}
		for _, offset := range []int{-1, 10_001} {
			_, err := z.nodes["b"].tier.Answer(t.Context(), b.ID(), placement.Ask{Reader: "d", Offset: offset}, nil)
			if !errors.Is(err, block.ErrCorrupt) {
				t.Errorf("from byte %d on: %v", offset, err)
			}
		}
	})
}

func TestAnOwnerThatCannotReadTheOriginIsNotDead(t *testing.T) {
	for _, tt := range []struct {
		fails error
		want  error
	}{{block.ErrUnavailable, nil}, {block.ErrOverloaded, nil}, {block.ErrNotFound, block.ErrNotFound}, {block.ErrCorrupt, block.ErrCorrupt}} {
		synctest.Test(t, func(t *testing.T) {
			z := newZone(t, "a", "b", "c")
			b := z.block(1, 10_000, "b", "c")
			z.nodes["b"].tier.SetLocal(block.ReaderFunc(func(context.Context, block.ID) (block.Block, error) {
				return block.Block{}, tt.fails
			}))
			a, err := z.nodes["b"].tier.Answer(t.Context(), b.ID(), placement.Ask{Reader: "a"}, nil)
			if tt.want == nil && (err != nil || a.Verdict != placement.Gone || a.To != "b") || !errors.Is(err, tt.want) {
				t.Errorf("%v: %+v, %v", tt.fails, a, err)
			}
			z.nodes["a"].mustRead(b) // from the origin
			if h := z.nodes["a"].tier.Health(); h[0].State != Closed || h[0].Failures != 0 || len(z.asked(b.ID())) > 2 {
				t.Errorf("%v: %+v after %+v", tt.fails, h, z.asked(b.ID()))
			}
		})
	}
}

// Beyond four sends at a time askers wait in line and are told so.
func TestPlacesOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b")
		n := z.nodes["b"]
		var busy []Answer
		for i := range 4 {
			busy = append(busy, answer(t, n, z.block(uint64(1+100_000*i), 10_000, "b"), placement.Ask{Reader: "a"}))
		}
		next := z.block(900_000, 10_000, "b")
		var told atomic.Int32
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			_, err := n.tier.Answer(ctx, z.block(800_000, 10_000, "b").ID(), placement.Ask{Reader: "a"}, nil)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			a, err := n.tier.Answer(t.Context(), next.ID(), placement.Ask{Reader: "a"}, func() error { told.Add(1); return nil })
			if err != nil {
				t.Error(err)
				return
			}
			a.Done(next.Len(), nil)
		})
		synctest.Wait()
		cancel()
		_ = rest(context.Background(), time.Second)
		if n := told.Load(); n < 8 || n > 12 {
			t.Errorf("told %d times in a second that it must wait", n)
		}
		gone := errors.New("gone")
		if _, err := n.tier.Answer(t.Context(), z.block(700_000, 10_000, "b").ID(), placement.Ask{Reader: "a"}, func() error { return gone }); !errors.Is(err, gone) {
			t.Errorf("got %v", err)
		}
		for _, a := range busy {
			a.Done(10_000, nil)
		}
		wg.Wait()
	})
}

func TestWhatArrivesIsPassedOnButNotBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c")
		b := z.block(1, 256<<10, "b")
		z.fault = func(asking) fault { return fault{chunk: time.Millisecond} }
		var wg sync.WaitGroup
		wg.Go(func() { z.nodes["a"].mustRead(b) })
		_ = rest(context.Background(), 8*time.Millisecond)
		if a := answer(t, z.nodes["a"], b, placement.Ask{Reader: "b"}); a.Verdict != placement.Gone {
			t.Errorf("a sends b what b sends a: %+v", a)
		}
		a := answer(t, z.nodes["a"], b, placement.Ask{Reader: "c", Hops: 1})
		if a.Verdict != placement.Serve || a.Depth != 1 || a.From != block.Peer {
			t.Errorf("%+v", a)
		} else {
			a.Done(0, errors.New("gone"))
		}
		wg.Wait()
	})
}

func TestACloseEndsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b")
		z.delay = time.Hour
		b := z.block(1, 1000, "b")
		var wg sync.WaitGroup
		for _, name := range []string{"a", "b"} {
			wg.Go(func() {
				_, err := z.nodes[name].tier.Answer(t.Context(), b.ID(), placement.Ask{Reader: "x"}, nil)
				if name == "b" && err == nil {
					t.Error("an answer")
				}
			})
		}
		wg.Go(func() {
			if _, err := z.nodes["a"].tier.ReadBlock(t.Context(), b.ID()); err == nil {
				t.Error("a block")
			}
		})
		synctest.Wait()
		for _, n := range z.nodes {
			n.tier.Close()
		}
		wg.Wait()
		if _, err := z.nodes["a"].tier.ReadBlock(t.Context(), b.ID()); !errors.Is(err, block.ErrUnavailable) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// memoryTier returns a tier whose node has b in memory.
func memoryTier(tb testing.TB, b block.Block) *Tier {
	ring := ringOf([]placement.Member{{Name: "a", Weight: 1}, {Name: "b", Weight: 1}})
	tier, err := New(Options{
		Node: "a", Ring: func() *placement.Ring { return ring },
		Transport: (*testNode)(nil),
		Held:      block.ReaderFunc(func(context.Context, block.ID) (block.Block, error) { return b.Retain(), nil }),
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { tier.Close() })
	return tier
}

func serveOnce(tb testing.TB, tier *Tier, b block.Block) {
	a, err := tier.Answer(context.Background(), b.ID(), placement.Ask{Reader: "b"}, nil)
	if err != nil || a.Verdict != placement.Serve {
		tb.Fatal(err, a)
	}
	a.Done(b.Len(), nil)
}

func TestAnAnswerFromMemoryCostsLittle(t *testing.T) {
	b := blocktest.Blocks(t, 1, 1, 256<<10)[0]
	tier := memoryTier(t, b)
	n := testing.AllocsPerRun(200, func() { serveOnce(t, tier, b) })
	figure.Report(t, "peer.answer_allocations", n, "allocations")
	if n > 7 && block.Live() == 0 { // traces of blocks cost more
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAnswerFromMemory(b *testing.B) {
	blk := blocktest.Block(1, 256<<10)
	defer blk.Release()
	tier := memoryTier(b, blk)
	b.ReportAllocs()
	for b.Loop() {
		serveOnce(b, tier, blk)
	}
	b.StopTimer()
	figure.Report(b, "peer.answer_from_memory", float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns")
}
