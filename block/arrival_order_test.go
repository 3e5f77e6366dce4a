package block_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

func TestArrived(t *testing.T) {
	b := blocktest.Block(1, 100)
	a := block.Arrived(b.Retain().WithFrom(block.Disk))
	if got, err := a.Next(t.Context(), 40); err != nil || !bytes.Equal(got, b.Bytes()[40:]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	got, ok := a.Block()
	if !ok || got.From != block.Disk || a.Size() != 100 || a.Have() != 100 || !a.Flowing() || !a.Ended() {
		t.Errorf("block %t, %d of %d bytes", ok, a.Have(), a.Size())
	}
	got.Release()
	<-a.Changed()
	a.Leave()
	b.Release()
}

// A reader waits for what it does not have, and for nothing else.
func TestArrivalWakesItsReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := blocktest.Bytes(1, 50_000)
		a := block.NewArrival(block.Sum(p), block.NewPool(0))
		defer a.Leave()
		ctx, cancel := context.WithCancel(t.Context())
		pieces := make(chan int, 10)
		done := make(chan error, 1)
		go func() {
			for have := 0; ; {
				q, err := a.Next(ctx, have)
				if err != nil {
					done <- err
					return
				}
				have += len(q)
				pieces <- len(q)
			}
		}()
		synctest.Wait()
		if err := a.Begin(len(p)); err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, 20_000} {
			a.Advance(copy(a.Space(), p[a.Have():a.Have()+n]))
			synctest.Wait()
			if got := <-pieces; got != n {
				t.Errorf("a piece of %d bytes after %d came", got, n)
			}
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// Anything may happen at once: what a reader gets is right as far as it goes.
func TestArrivalUnderAnyOrder(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		p := blocktest.Bytes(seed, rng.IntN(40_000))
		pool := block.NewPool(0)
		a := block.NewArrival(block.Sum(p), pool)
		var wg sync.WaitGroup
		for range rng.IntN(4) {
			own, offset, stop := a.Join(), rng.IntN(len(p)+1), rng.IntN(4) == 0
			wg.Go(func() {
				defer own.Leave()
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				if stop {
					cancel()
				}
				if got, _ := follow(ctx, own, offset); !bytes.Equal(got, p[offset:offset+len(got)]) {
					t.Errorf("seed %d: wrong bytes from %d", seed, offset)
				}
			})
		}
		step, fail := 1+rng.IntN(20_000), rng.IntN(3) == 0
		wg.Go(func() {
			defer a.Leave()
			if fail {
				a.Fail(block.ErrUnavailable)
				return
			}
			fill(t, a, p, step)
			if b, err := a.Finish(block.Peer); err == nil {
				b.Release()
			} else {
				t.Errorf("seed %d: %v", seed, err)
			}
		})
		wg.Wait()
		if n := pool.InUse(); n != 0 {
			t.Fatalf("seed %d: %d bytes are in use", seed, n)
		}
	}
}

func TestArrivedAllocatesOnce(t *testing.T) {
	b := blocktest.Block(1, 100)
	defer b.Release()
	ctx := context.Background()
	n := testing.AllocsPerRun(100, func() {
		a := block.Arrived(b.Retain())
		if _, err := a.Next(ctx, 0); err != nil {
			t.Error(err)
		}
		a.Leave()
	})
	if n > 1 && block.Live() < 0 {
		t.Errorf("%g allocations", n)
	}
}
