package tiers_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/tiers"
)

func fake(t testing.TB, tier block.Tier, blocks ...block.Block) *blocktest.Fake {
	f := blocktest.NewFake(tier)
	for _, b := range blocks {
		_ = f.WriteBlock(context.Background(), b)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestReadThroughFillsAndThenHits(t *testing.T) {
	b := blocktest.Blocks(t, 1, 1, 1000)[0]
	upper, lower := fake(t, block.Memory), fake(t, block.Origin, b)
	r := tiers.ReadThrough(upper, lower, tiers.Always)
	blocktest.CheckRead(t, r, b, block.Origin)
	blocktest.CheckRead(t, r, b, block.Memory)
	if n := lower.Reads(b.ID()); n != 1 {
		t.Fatalf("%d reads below, want 1", n)
	}
}

func TestReadThroughAdmitsOnlyWhatItIsTold(t *testing.T) {
	b := blocktest.Blocks(t, 1, 1, 1000)[0]
	upper, lower := fake(t, block.Memory), fake(t, block.Origin, b)
	r := tiers.ReadThrough(upper, lower, func(block.Block) bool { return false })
	blocktest.CheckRead(t, r, b, block.Origin)
	blocktest.CheckRead(t, r, b, block.Origin)
	if n := upper.Writes(); n != 0 {
		t.Fatalf("%d blocks offered, want none", n)
	}
}

func TestSickUpperTierIsAMiss(t *testing.T) {
	b := blocktest.Blocks(t, 1, 1, 1000)[0]
	for _, sick := range []error{block.ErrCorrupt, block.ErrUnavailable, errors.New("disk on fire")} {
		upper := fake(t, block.Disk, b)
		upper.Before = func(context.Context, block.ID) error { return sick }
		lower := fake(t, block.Origin, b)
		blocktest.CheckRead(t, tiers.ReadThrough(upper, lower, tiers.Always), b, block.Origin)
		blocktest.CheckRead(t, tiers.Fallback(upper, lower), b, block.Origin)
	}
}

func TestFallbackReturnsTheLastWord(t *testing.T) {
	first := fake(t, block.Peer)
	first.Before = func(context.Context, block.ID) error { return block.ErrUnavailable }
	blocktest.CheckError(t, tiers.Fallback(first, fake(t, block.Origin)), block.Sum(nil), block.ErrNotFound)
}

func TestVerifyRefusesWrongBytes(t *testing.T) {
	blocks := blocktest.Blocks(t, 1, 2, 1000)
	liar := fake(t, block.Peer, blocks[0])
	liar.Deliver = func(b block.Block) block.Block {
		b.Release()
		buf := block.DefaultPool.Get(1000)
		copy(buf.Bytes(), blocks[1].Bytes())
		return buf.Seal(blocks[0].ID(), block.Peer)
	}
	blocktest.CheckError(t, tiers.Verify(liar), blocks[0].ID(), block.ErrCorrupt)
	mislabelled := fake(t, block.Peer, blocks[0])
	mislabelled.Deliver = func(b block.Block) block.Block {
		b.Release()
		buf := block.DefaultPool.Get(1000)
		copy(buf.Bytes(), blocks[0].Bytes())
		return buf.Seal(blocks[1].ID(), block.Peer)
	}
	blocktest.CheckError(t, tiers.Verify(mislabelled), blocks[0].ID(), block.ErrCorrupt)
	blocktest.CheckRead(t, tiers.Verify(fake(t, block.Peer, blocks[1])), blocks[1], block.Peer)
}

func TestLimitBoundsReadsAndPrefersDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blocks := blocktest.Blocks(t, 1, 3, 100)
		gate := make(chan struct{})
		var mu sync.Mutex
		var order []block.Cause
		inside, most := 0, 0
		next := block.ReaderFunc(func(ctx context.Context, _ block.ID) (block.Block, error) {
			mu.Lock()
			order = append(order, block.CallFrom(ctx).Cause)
			inside++
			most = max(most, inside)
			mu.Unlock()
			<-gate
			mu.Lock()
			inside--
			mu.Unlock()
			return blocks[0].Retain(), nil
		})
		r := tiers.Limit(next, 1)
		var wg sync.WaitGroup
		start := func(ctx context.Context, c block.Cause) {
			wg.Go(func() {
				b, err := r.ReadBlock(block.WithCall(ctx, block.Call{Cause: c}), blocks[0].ID())
				if err == nil {
					b.Release()
				}
			})
			synctest.Wait()
		}
		start(t.Context(), block.Demand)
		start(t.Context(), block.Repair)
		start(t.Context(), block.Prefetch)
		start(t.Context(), block.Demand)
		ctx, cancel := context.WithCancel(t.Context())
		start(ctx, block.Demand)
		cancel()
		synctest.Wait()
		close(gate)
		wg.Wait()
		want := []block.Cause{block.Demand, block.Demand, block.Prefetch, block.Repair}
		if len(order) != len(want) || most != 1 {
			t.Fatalf("order %v, at most %d inside", order, most)
		}
		for i := range want {
			if order[i] != want[i] {
				t.Fatalf("order %v, want %v", order, want)
			}
		}
	})
}

// Blocks that are read ahead stand in line behind each other, until a program asks
// for one: then it is next, also where two flights lie between them.
func TestAPrefetchThatAProgramJoinsGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blocks := blocktest.Blocks(t, 1, 6, 100)
		byID := map[block.ID]int{}
		for i, b := range blocks {
			byID[b.ID()] = i
		}
		gate := make(chan struct{})
		var mu sync.Mutex
		var order []int
		next := block.ReaderFunc(func(_ context.Context, id block.ID) (block.Block, error) {
			mu.Lock()
			order = append(order, byID[id])
			mu.Unlock()
			<-gate
			return blocks[byID[id]].Retain(), nil
		})
		r := tiers.Flight(tiers.Flight(tiers.Limit(next, 1)))
		var wg sync.WaitGroup
		start := func(i int, c block.Cause) {
			wg.Go(func() {
				b, err := r.ReadBlock(block.WithCall(t.Context(), block.Call{Cause: c}), blocks[i].ID())
				if err != nil {
					t.Error(err)
				}
				b.Release()
			})
			synctest.Wait()
		}
		for i := range 5 {
			start(i, block.Prefetch)
		}
		start(3, block.Prefetch) // nobody waits for this one, either
		start(5, block.Demand)
		start(4, block.Demand)
		close(gate)
		wg.Wait()
		if want := []int{0, 5, 4, 1, 2, 3}; !slices.Equal(order, want) {
			t.Errorf("order %v, want %v", order, want)
		}
	})
}

func TestLimitSurvivesCancellationStorm(t *testing.T) {
	b := blocktest.Blocks(t, 1, 1, 100)[0]
	r := tiers.Limit(fake(t, block.Origin, b), 2)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				ctx, cancel := context.WithCancel(context.Background())
				go cancel()
				got, _ := r.ReadBlock(ctx, b.ID())
				got.Release()
			}
		})
	}
	wg.Wait()
	for range 2 { // no place was lost
		blocktest.CheckRead(t, r, b, block.Origin)
	}
}

// The whole chain, with an L1 that forgets at random and an L2 that fails at
// random, must always serve the right bytes and read the origin only when
// neither tier had the block.
func TestChainModel(t *testing.T) {
	const n = 8
	blocks := blocktest.Blocks(t, 100, n, 500)
	rapid.Check(t, func(rt *rapid.T) {
		l1, l2 := blocktest.NewFake(block.Memory), blocktest.NewFake(block.Disk)
		origin := blocktest.NewFake(block.Origin)
		defer l1.Close()
		defer l2.Close()
		defer origin.Close()
		for _, b := range blocks {
			_ = origin.WriteBlock(t.Context(), b)
		}
		sick := false
		l2.Before = func(context.Context, block.ID) error {
			if sick {
				return block.ErrUnavailable
			}
			return nil
		}
		below := tiers.ReadThrough(l2, tiers.Flight(tiers.Verify(tiers.Limit(origin, 4))), tiers.Always)
		chain := tiers.Fallback(l1, tiers.Flight(tiers.ReadThrough(l1, below, tiers.Always)))
		in1, in2 := map[int]bool{}, map[int]bool{}
		rt.Repeat(map[string]func(*rapid.T){
			"read": func(rt *rapid.T) {
				i := rapid.IntRange(0, n-1).Draw(rt, "block")
				want := block.Origin
				switch {
				case in1[i]:
					want = block.Memory
				case in2[i] && !sick:
					want = block.Disk
				}
				before := origin.Reads(blocks[i].ID())
				blocktest.CheckRead(t, chain, blocks[i], want)
				if got := origin.Reads(blocks[i].ID()) - before; (got == 1) != (want == block.Origin) {
					rt.Fatalf("served by %s with %d origin reads", want, got)
				}
				in1[i] = true
				if want == block.Origin {
					in2[i] = true
				}
			},
			"forget in l1": func(rt *rapid.T) {
				i := rapid.IntRange(0, n-1).Draw(rt, "block")
				l1.Remove(blocks[i].ID())
				delete(in1, i)
			},
			"forget in l2": func(rt *rapid.T) {
				i := rapid.IntRange(0, n-1).Draw(rt, "block")
				l2.Remove(blocks[i].ID())
				delete(in2, i)
			},
			"l2 falls ill or recovers": func(*rapid.T) { sick = !sick },
		})
	})
}

// Exactly one origin read per block, however readers overlap, even when L2
// declines everything: the flight fills L1 before it ends.
func TestOriginReadOncePerBlock(t *testing.T) {
	blocks := blocktest.Blocks(t, 200, 16, 2000)
	l1, l2, origin := fake(t, block.Memory), fake(t, block.Disk), fake(t, block.Origin, blocks...)
	l2.Decline = func(block.Block) bool { return true }
	below := tiers.ReadThrough(l2, tiers.Flight(tiers.Verify(origin)), tiers.Always)
	chain := tiers.Fallback(l1, tiers.Flight(tiers.ReadThrough(l1, below, tiers.Always)))
	var wg sync.WaitGroup
	for w := range 32 {
		wg.Go(func() {
			for i := range 10 * len(blocks) {
				b := blocks[(i*5+w)%len(blocks)]
				got, err := chain.ReadBlock(context.Background(), b.ID())
				if err != nil {
					t.Error(err)
					return
				}
				got.Release()
			}
		})
	}
	wg.Wait()
	for _, b := range blocks {
		if n := origin.Reads(b.ID()); n != 1 {
			t.Errorf("block %s read %d times from the origin, want 1", b.ID().Short(), n)
		}
	}
}
