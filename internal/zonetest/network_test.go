package zonetest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/zonetest"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/tiers/peer"
)

func TestMain(m *testing.M) { blocktest.Main(m) }

// serving answers every ask with one of blocks, whole.
func serving(blocks ...block.Block) zonetest.Answerer {
	return func(_ context.Context, id block.ID, ask placement.Ask, _ func() error) (peer.Answer, error) {
		for _, b := range blocks {
			if b.ID() == id {
				return answerOf(block.Arrived(b.Retain())), nil
			}
		}
		return peer.Answer{}, fmt.Errorf("%s asks for %s: %w", ask.Reader, id.Short(), block.ErrNotFound)
	}
}

func answerOf(a *block.Arrival) peer.Answer {
	return peer.Answer{From: block.Memory, Source: a, Done: func(int, error) { a.Leave() }}
}

// fetch lets node a ask b for the block, and returns the bytes that arrived.
func fetch(ctx context.Context, tr peer.Transport, to string, id block.ID) ([]byte, placement.Reply, error) {
	into := block.NewArrival(id, block.DefaultPool)
	defer into.Leave()
	reply, err := tr.Fetch(ctx, placement.Member{Name: to}, id, placement.Ask{}, into)
	if err != nil || reply.Verdict != placement.Serve {
		return nil, reply, err
	}
	b, err := into.Finish(block.Peer)
	if err != nil {
		return nil, reply, err
	}
	defer b.Release()
	return bytes.Clone(b.Bytes()), reply, nil
}

func nobody(context.Context, block.ID, placement.Ask, func() error) (peer.Answer, error) {
	return peer.Answer{}, block.ErrNotFound
}

// onNetwork runs a test of two hosts, a which asks and b which holds the block,
// in virtual time.
func onNetwork(t *testing.T, timing zonetest.Timing, test func(t *testing.T, n *zonetest.Network, a peer.Transport, b block.Block)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := blocktest.Block(1, 200_000)
		defer b.Release()
		n := zonetest.NewNetwork(timing)
		a := n.Listen("a", nobody)
		n.Listen("b", serving(b))
		test(t, n, a, b)
		n.Kill("a")
		n.Kill("b")
		n.Close()
	})
}

func TestABlockTravels(t *testing.T) {
	onNetwork(t, zonetest.Timing{}, func(t *testing.T, n *zonetest.Network, a peer.Transport, b block.Block) {
		for _, d := range []zonetest.Delivery{zonetest.Once, zonetest.Twice} {
			n.Deliver(d)
			got, _, err := fetch(t.Context(), a, "b", b.ID())
			if err != nil || !bytes.Equal(got, b.Bytes()) {
				t.Fatalf("delivery %v: %d bytes, %v", d, len(got), err)
			}
		}
		if _, _, err := fetch(t.Context(), a, "b", block.Sum(nil)); !errors.Is(err, block.ErrNotFound) {
			t.Fatalf("unknown block: %v", err)
		}
		if _, _, err := fetch(t.Context(), a, "nobody", b.ID()); !errors.Is(err, block.ErrUnavailable) || errors.Is(err, peer.ErrStalled) {
			t.Fatalf("unknown host: %v", err)
		}
		if tr := n.Traffic(); tr.Asks != 4 || tr.Bytes != int64(2*b.Len()) || tr.Sent["b"] != tr.Bytes {
			t.Fatalf("traffic %+v", tr)
		}
	})
}

func TestALinkTakesItsTime(t *testing.T) {
	const rate = 1e6
	for _, tt := range []struct {
		name  string
		shape func(n *zonetest.Network)
	}{
		{"up", func(n *zonetest.Network) { n.Shape("b", zonetest.Link{Up: rate}) }},
		{"down", func(n *zonetest.Network) { n.Shape("a", zonetest.Link{Down: rate}) }},
		{"both", func(n *zonetest.Network) {
			n.Shape("a", zonetest.Link{Down: rate})
			n.Shape("b", zonetest.Link{Up: rate})
		}},
		{"pair", func(n *zonetest.Network) { n.ShapePair("b", "a", zonetest.Link{Up: rate}) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onNetwork(t, zonetest.Timing{}, func(t *testing.T, n *zonetest.Network, a peer.Transport, b block.Block) {
				tt.shape(n)
				began := time.Now()
				var wg sync.WaitGroup
				for range 4 { // share the link
					wg.Go(func() {
						if _, _, err := fetch(t.Context(), a, "b", b.ID()); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				want := time.Duration(4 * float64(b.Len()) / rate * float64(time.Second))
				if took := time.Since(began); took < want || took > want+want/10 {
					t.Fatalf("took %v, want %v", took, want)
				}
			})
		})
	}
}

func TestFaultsShowAsTheTransportSays(t *testing.T) {
	tests := []struct {
		name  string
		fault func(n *zonetest.Network)
		want  error
		stall bool
		after time.Duration // at most
	}{
		{"dead", func(n *zonetest.Network) { n.Kill("b") }, block.ErrUnavailable, false, time.Millisecond},
		{"hung", func(n *zonetest.Network) { n.Hang("b") }, block.ErrUnavailable, true, silence},
		{"partition", func(n *zonetest.Network) { n.Partition([]string{"a"}, []string{"b"}) }, block.ErrUnavailable, true, silence},
		{"asks get lost", func(n *zonetest.Network) { n.Lose("a", "b") }, block.ErrUnavailable, true, silence},
		{"answers get lost", func(n *zonetest.Network) { n.Lose("b", "a") }, block.ErrUnavailable, true, silence},
		{"lie", func(n *zonetest.Network) { n.Play("b", zonetest.Lie) }, block.ErrCorrupt, false, time.Millisecond},
		{"lie early", func(n *zonetest.Network) { n.Play("b", zonetest.LieEarly) }, block.ErrCorrupt, false, time.Millisecond},
		{"lie in the end", func(n *zonetest.Network) { n.Play("b", zonetest.LieInTheEnd) }, block.ErrCorrupt, false, time.Millisecond},
		{"truncate", func(n *zonetest.Network) { n.Play("b", zonetest.Truncate) }, block.ErrUnavailable, false, time.Millisecond},
		{"break late", func(n *zonetest.Network) { n.Play("b", zonetest.BreakLate) }, block.ErrUnavailable, false, time.Millisecond},
		{"fall silent", func(n *zonetest.Network) { n.Play("b", zonetest.FallSilent) }, block.ErrUnavailable, true, silence + time.Millisecond},
		{"short", func(n *zonetest.Network) { n.Play("b", zonetest.Short) }, block.ErrCorrupt, false, time.Millisecond},
		{"empty", func(n *zonetest.Network) { n.Play("b", zonetest.Empty) }, block.ErrCorrupt, false, time.Millisecond},
		{"endless", func(n *zonetest.Network) { n.Play("b", zonetest.Endless) }, block.ErrCorrupt, false, time.Millisecond},
		{"too large", func(n *zonetest.Network) { n.Play("b", zonetest.TooLarge) }, block.ErrUnavailable, false, time.Millisecond},
		{"busy", func(n *zonetest.Network) { n.Play("b", zonetest.AlwaysBusy) }, block.ErrOverloaded, false, time.Millisecond},
		{"corrupt", func(n *zonetest.Network) { n.Play("b", zonetest.AlwaysCorrupt) }, block.ErrCorrupt, false, time.Millisecond},
		{"fails", func(n *zonetest.Network) { n.Play("b", zonetest.AlwaysFails) }, block.ErrUnavailable, false, time.Millisecond},
		{"silent", func(n *zonetest.Network) { n.Play("b", zonetest.AlwaysSilent) }, block.ErrUnavailable, true, silence},
		{"waits for ever", func(n *zonetest.Network) { n.Play("b", zonetest.AlwaysWait) }, context.DeadlineExceeded, false, 10 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onNetwork(t, zonetest.Timing{}, func(t *testing.T, n *zonetest.Network, a peer.Transport, b block.Block) {
				tt.fault(n)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				began := time.Now()
				_, _, err := fetch(ctx, a, "b", b.ID())
				if !errors.Is(err, tt.want) || errors.Is(err, peer.ErrStalled) != tt.stall {
					t.Errorf("error %v, want %v", err, tt.want)
				}
				if took := time.Since(began); took > tt.after {
					t.Errorf("took %v, want at most %v", took, tt.after)
				}
			})
		})
	}
}

func TestVerdictsTravel(t *testing.T) {
	onNetwork(t, zonetest.Timing{}, func(t *testing.T, n *zonetest.Network, a peer.Transport, b block.Block) {
		for _, tt := range []struct {
			trick zonetest.Trick
			want  placement.Reply
		}{
			{zonetest.RedirectTo("c"), placement.Reply{Verdict: placement.Redirect, To: "c"}},
			{zonetest.AlwaysGone, placement.Reply{Verdict: placement.Gone}},
			{zonetest.GoneTo("d"), placement.Reply{Verdict: placement.Gone, To: "d"}},
		} {
			n.Play("b", tt.trick)
			if _, reply, err := fetch(t.Context(), a, "b", b.ID()); err != nil || reply != tt.want {
				t.Errorf("%v: %+v, %v", tt.trick, reply, err)
			}
		}
	})
}

func TestConnectionsBreakInTheMiddle(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault func(n *zonetest.Network)
		want  error
		at    time.Duration
	}{
		{"source dies", func(n *zonetest.Network) { n.Kill("b") }, block.ErrUnavailable, 100 * time.Millisecond},
		{"asker dies", func(n *zonetest.Network) { n.Kill("a") }, block.ErrUnavailable, 100 * time.Millisecond},
		{"source hangs", func(n *zonetest.Network) { n.Hang("b") }, peer.ErrStalled, silence + 120*time.Millisecond},
		{"partition", func(n *zonetest.Network) { n.Partition([]string{"a"}, []string{"b"}) }, peer.ErrStalled, silence + 120*time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onNetwork(t, zonetest.Timing{}, func(t *testing.T, n *zonetest.Network, a peer.Transport, b block.Block) {
				n.Shape("b", zonetest.Link{Up: 1e6}) // 200 ms
				began := time.Now()
				time.AfterFunc(100*time.Millisecond, func() { tt.fault(n) })
				_, _, err := fetch(t.Context(), a, "b", b.ID())
				if !errors.Is(err, tt.want) {
					t.Errorf("error %v, want %v", err, tt.want)
				}
				if took := time.Since(began); took > tt.at {
					t.Errorf("took %v, want at most %v", took, tt.at)
				}
			})
		})
	}
}

func TestAShortSilenceIsNoFailure(t *testing.T) {
	onNetwork(t, zonetest.Timing{}, func(t *testing.T, n *zonetest.Network, a peer.Transport, b block.Block) {
		n.Shape("b", zonetest.Link{Up: 1e6})
		time.AfterFunc(100*time.Millisecond, func() { n.Hang("b") })
		time.AfterFunc(500*time.Millisecond, func() { n.Wake("b") })
		if _, _, err := fetch(t.Context(), a, "b", b.ID()); err != nil {
			t.Fatal(err)
		}
	})
}

// An arrival that is passed on while it arrives reaches the next node with it.
func TestBytesArePassedOnWhileTheyArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 1e6
		b := blocktest.Block(1, 500_000)
		defer b.Release()
		n := zonetest.NewNetwork(zonetest.Timing{})
		n.Listen("source", serving(b))
		n.Shape("source", zonetest.Link{Up: rate})
		arriving := block.NewArrival(b.ID(), block.DefaultPool)
		middle := n.Listen("middle", func(ctx context.Context, _ block.ID, _ placement.Ask, _ func() error) (peer.Answer, error) {
			if _, err := arriving.Next(ctx, 0); err != nil { // its size is known then
				return peer.Answer{}, err
			}
			return answerOf(arriving.Join()), nil
		})
		n.Shape("middle", zonetest.Link{Up: rate})
		end := n.Listen("end", nobody)

		began := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := middle.Fetch(t.Context(), placement.Member{Name: "source"}, b.ID(), placement.Ask{}, arriving); err != nil {
				t.Error(err)
			}
			got, err := arriving.Finish(block.Peer)
			if err != nil {
				t.Error(err)
			}
			got.Release()
		})
		if _, _, err := fetch(t.Context(), end, "middle", b.ID()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < 500*time.Millisecond || took > 550*time.Millisecond {
			t.Errorf("took %v, want hardly more than half a second", took)
		}
		wg.Wait()
		arriving.Leave()
		for _, name := range []string{"source", "middle", "end"} {
			n.Kill(name)
		}
		n.Close()
	})
}
