package tiers_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/tiers"
)

func TestMain(m *testing.M) { blocktest.Main(m) }

// gated returns a fake whose reads wait for the gate or their context.
func gated(t *testing.T, gate <-chan struct{}, blocks ...block.Block) *blocktest.Fake {
	t.Helper()
	f := blocktest.NewFake(block.Origin)
	for _, b := range blocks {
		if err := f.WriteBlock(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}
	f.Before = func(ctx context.Context, _ block.ID) error {
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestFlight64ReadersCauseOneRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := blocktest.Blocks(t, 1, 1, 1000)[0]
		gate := make(chan struct{})
		origin := gated(t, gate, b)
		r := tiers.Flight(origin)
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() { blocktest.CheckRead(t, r, b, block.Origin) })
		}
		synctest.Wait()
		close(gate)
		wg.Wait()
		figure.Report(t, "flight.origin_reads_for_64_readers", float64(origin.Reads(b.ID())), "reads")
		if n := origin.Reads(b.ID()); n != 1 {
			t.Fatalf("%d reads of the origin, want 1", n)
		}
	})
}

func TestFlightSurvivesAllButOneReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := blocktest.Blocks(t, 1, 1, 1000)[0]
		gate := make(chan struct{})
		origin := gated(t, gate, b)
		r := tiers.Flight(origin)
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		for range 63 {
			wg.Go(func() {
				if _, err := r.ReadBlock(ctx, b.ID()); !errors.Is(err, context.Canceled) {
					t.Errorf("cancelled reader got %v", err)
				}
			})
		}
		wg.Go(func() { blocktest.CheckRead(t, r, b, block.Origin) })
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(gate)
		wg.Wait()
		if n := origin.Reads(b.ID()); n != 1 {
			t.Fatalf("%d reads of the origin, want 1", n)
		}
	})
}

func TestFlightStopsWhenEveryReaderLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := blocktest.Blocks(t, 1, 1, 1000)[0]
		stopped := make(chan struct{})
		origin := block.ReaderFunc(func(ctx context.Context, _ block.ID) (block.Block, error) {
			<-ctx.Done()
			close(stopped)
			return block.Block{}, ctx.Err()
		})
		r := tiers.Flight(origin)
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				if _, err := r.ReadBlock(ctx, b.ID()); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		<-stopped
	})
}

// A reader who comes while a deserted read is being cancelled starts a new one.
func TestFlightNewReaderDoesNotJoinADesertedRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := blocktest.Blocks(t, 1, 1, 1000)[0]
		release := make(chan struct{})
		first := true
		var mu sync.Mutex
		origin := block.ReaderFunc(func(ctx context.Context, _ block.ID) (block.Block, error) {
			mu.Lock()
			slow := first
			first = false
			mu.Unlock()
			if slow {
				<-release // deaf to its cancellation
				return block.Block{}, ctx.Err()
			}
			return b.Retain().WithFrom(block.Origin), nil
		})
		r := tiers.Flight(origin)
		ctx, cancel := context.WithCancel(context.Background())
		go func() { synctest.Wait(); cancel() }()
		if _, err := r.ReadBlock(ctx, b.ID()); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		blocktest.CheckRead(t, r, b, block.Origin)
		close(release)
	})
}

func TestFlightSharesErrors(t *testing.T) {
	origin := blocktest.NewFake(block.Origin)
	blocktest.CheckError(t, tiers.Flight(origin), block.Sum([]byte("x")), block.ErrNotFound)
}

// The race between landing and leaving must neither leak nor double-release;
// the leak check of -tags invariants is the judge.
func TestFlightLandingRacesLeaving(t *testing.T) {
	b := blocktest.Blocks(t, 1, 1, 1000)[0]
	origin := blocktest.NewFake(block.Origin, b.Retain())
	defer origin.Close()
	r := tiers.Flight(origin)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 300 {
				ctx, cancel := context.WithCancel(context.Background())
				go cancel()
				got, err := r.ReadBlock(ctx, b.ID())
				if (err == nil) == got.IsZero() {
					t.Errorf("block %v, error %v: want exactly one", got, err)
				}
				got.Release()
			}
		})
	}
	wg.Wait()
}

// A shared read outlives the reader who began it, and still knows how long that
// one had wanted to wait.
func TestFlightStatesTheDeadlineItDoesNotKeep(t *testing.T) {
	until := time.Now().Add(time.Hour)
	r := tiers.Flight(block.ReaderFunc(func(ctx context.Context, _ block.ID) (block.Block, error) {
		if _, ok := ctx.Deadline(); ok {
			t.Error("the shared read has its first reader's deadline")
		}
		if got, ok := block.Deadline(ctx); !ok || !got.Equal(until) {
			t.Errorf("deadline %v, want %v", got, until)
		}
		if got := block.CallFrom(ctx).Image; got != "flask" {
			t.Errorf("image %q", got)
		}
		return block.Block{}, block.ErrNotFound
	}))
	ctx, cancel := context.WithDeadline(block.WithCall(t.Context(), block.Call{Image: "flask"}), until)
	defer cancel()
	blocktest.CheckError(t, withContext(ctx, r), block.Sum(nil), block.ErrNotFound)
}

func withContext(ctx context.Context, r block.Reader) block.Reader {
	return block.ReaderFunc(func(_ context.Context, id block.ID) (block.Block, error) { return r.ReadBlock(ctx, id) })
}
