package prefetch_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/prefetch"
	"github.com/zonecache/cached/tiers"
)

func TestMain(m *testing.M) { blocktest.Main(m) }

// A medium is an origin that answers after a while and notes what it was asked.
type medium struct {
	*blocktest.Fake
	takes time.Duration

	mu     sync.Mutex
	order  []int // indexes of the blocks in the order they were asked for
	inside int
	most   int
	causes map[block.Cause]int
}

const size = 1000

// newMedium returns a medium with n blocks and the image of them.
func newMedium(t *testing.T, n int) (*medium, prefetch.Image) {
	t.Helper()
	m := &medium{takes: time.Millisecond, causes: map[block.Cause]int{}}
	var held []block.Block
	image := prefetch.Image{Names: []string{"app", "blake3:app"}}
	index := map[block.ID]int{}
	for i := range n {
		b := blocktest.Block(uint64(i), size)
		held = append(held, b)
		index[b.ID()] = i
		image.Blocks = append(image.Blocks, prefetch.Block{ID: b.ID(), Length: size})
	}
	m.Fake = blocktest.NewFake(block.Origin, held...)
	m.Before = func(ctx context.Context, id block.ID) error {
		m.mu.Lock()
		m.order = append(m.order, index[id])
		m.causes[block.CallFrom(ctx).Cause]++
		m.inside++
		m.most = max(m.most, m.inside)
		m.mu.Unlock()
		defer func() {
			m.mu.Lock()
			m.inside--
			m.mu.Unlock()
		}()
		select {
		case <-time.After(m.takes):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	t.Cleanup(func() { m.Close() })
	return m, image
}

func (m *medium) asked() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.order)
}

// open starts a ReadAhead over the medium that ends with the test.
func open(t *testing.T, r block.Reader, opts prefetch.Options) *prefetch.ReadAhead {
	t.Helper()
	a := prefetch.NewReadAhead(r, opts)
	t.Cleanup(func() { a.Close() })
	return a
}

// settle lets everything happen that happens without another touch.
func settle() { time.Sleep(time.Minute); synctest.Wait() } //nolint:forbidigo // the clock of synctest

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func demand(ctx context.Context) context.Context {
	return block.WithCall(ctx, block.Call{Image: "app"})
}

func read(t *testing.T, r block.Reader, id block.ID) {
	t.Helper()
	b, err := r.ReadBlock(demand(t.Context()), id)
	if err != nil {
		t.Fatal(err)
	}
	b.Release()
}

func TestReadAheadAloneReadsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, image := newMedium(t, 100)
		a := open(t, m, prefetch.Options{})
		run := a.Start(t.Context(), image, block.Call{Image: "app", Tenant: "t"})
		settle()
		order := m.asked()
		slices.Sort(order)
		if !slices.Equal(order, upTo(100)) || m.most != 16 || m.causes[block.Prefetch] != 100 {
			t.Fatalf("read %v, %d at a time, causes %v", order, m.most, m.causes)
		}
		// It is over once programs have asked for all of that, and not before.
		all := prefetch.Count{Blocks: 100, Bytes: 100 * size}
		if o := run.Outcome(); !run.Idle() || run.Ended() || o != (prefetch.Outcome{Pending: all}) {
			t.Fatalf("idle %v, ended %v: %+v", run.Idle(), run.Ended(), o)
		}
		for _, b := range image.Blocks {
			run.Touched(b.ID)
		}
		if o := run.Outcome(); !run.Ended() || a.Runs() != 0 || o != (prefetch.Outcome{Used: all}) {
			t.Fatalf("everything was asked for: ended %v: %+v", run.Ended(), o)
		}
	})
}

// What others wait for is not narrowed.
func TestReadAheadOfASlowNodeLeavesRoomForOwnedBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, image := newMedium(t, 100)
		owned := map[block.ID]bool{}
		for _, b := range image.Blocks[:20] {
			owned[b.ID] = true
		}
		a := open(t, m, prefetch.Options{
			Owner: func(id block.ID) bool { return owned[id] },
			Order: placement.OrderLimits{Window: 32, Out: 16, Demand: 4}, LookAhead: placement.OrderLimits{Window: 1, Out: 4, Demand: 4},
			Part: func() float64 { return 0.25 },
		})
		a.Start(t.Context(), image, block.Call{Image: "app"})
		settle()
		if len(m.asked()) != 100 || m.most != 4+4 {
			t.Fatalf("%d blocks were read, %d at a time; want 4 of 16 others and 4 owned ones", len(m.asked()), m.most)
		}
	})
}

func TestReadAheadStaysWithinTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, image := newMedium(t, 100)
		a := open(t, m, prefetch.Options{Budget: 10 * size})
		watched := a.Watch(tiers.Flight(m))
		a.Start(t.Context(), image, block.Call{})
		settle()
		if order := m.asked(); len(order) != 10 {
			t.Fatalf("read %v with a budget of 10 blocks", order)
		}
		// A program that reads makes room; what it comes to first is not read twice.
		for _, i := range []int{0, 1, 2, 15} {
			read(t, watched, image.Blocks[i].ID)
		}
		settle()
		order := m.asked()
		slices.Sort(order)
		want := append(upTo(13), 15, 0, 1, 2) // the Fake is no cache
		slices.Sort(want)
		if !slices.Equal(order, want) {
			t.Fatalf("read %v, want %v", order, want)
		}
	})
}

func TestReadAheadStaysNearTheFrontier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, image := newMedium(t, 300)
		others := placement.OrderLimits{Window: 64, Out: 8, Demand: 2, Ahead: 20}
		own := placement.OrderLimits{Window: 1, Out: 3, Demand: 3, Ahead: 50}
		a := open(t, m, prefetch.Options{
			Order: others, LookAhead: own, Seed: 7,
			Owner: func(id block.ID) bool { return slices.Index(image.Blocks, prefetch.Block{ID: id, Length: size})%5 == 0 },
		})
		watched := a.Watch(m)
		a.Start(t.Context(), image, block.Call{})
		settle()
		check := func(frontier int) {
			t.Helper()
			var want []int
			for i := range 300 {
				if i%5 == 0 && i < frontier+50 || i < frontier+20 {
					want = append(want, i)
				}
			}
			order := m.asked()
			slices.Sort(order)
			if !slices.Equal(slices.Compact(order), want) {
				t.Fatalf("with the frontier at %d: read %v, want %v", frontier, order, want)
			}
		}
		check(0)
		if m.most > 8+3 {
			t.Fatalf("%d at a time", m.most)
		}
		read(t, watched, image.Blocks[30].ID)
		settle()
		check(31)
	})
}

func TestReadAheadHostsReadDifferently(t *testing.T) {
	first := func(seed uint64) (order []int) {
		synctest.Test(t, func(t *testing.T) {
			m, image := newMedium(t, 60)
			a := open(t, m, prefetch.Options{Seed: seed, Owner: func(block.ID) bool { return false }})
			a.Start(t.Context(), image, block.Call{})
			settle()
			order = m.asked()
		})
		return order
	}
	if a, b := first(1), first(2); slices.Equal(a, b) {
		t.Fatal("two hosts ask in the same order")
	}
}

func TestReadAheadSharesTheBudgetOfAllRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, image := newMedium(t, 100)
		a := open(t, m, prefetch.Options{Budget: 20 * size})
		first := prefetch.Image{Names: []string{"a"}, Blocks: image.Blocks[:50]}
		second := prefetch.Image{Names: []string{"b"}, Blocks: image.Blocks[50:]}
		one := a.Start(t.Context(), first, block.Call{})
		settle()
		a.Start(t.Context(), second, block.Call{})
		settle()
		if n := len(m.asked()); n != 30 { // the first had 20 before there was a second
			t.Fatalf("%d blocks read", n)
		}
		one.Stop()
		settle()
		if n := len(m.asked()); n != 40 || a.Runs() != 1 {
			t.Fatalf("%d blocks read after one run ended, %d go on", n, a.Runs())
		}
	})
}

// A program that comes to a block on its way joins the read.
func TestReadAheadDemandJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, image := newMedium(t, 4)
		m.takes = time.Second
		l1 := blocktest.NewFake(block.Memory)
		t.Cleanup(func() { l1.Close() })
		shared := tiers.Fallback(l1, tiers.Flight(tiers.ReadThrough(l1, m, tiers.Always)))
		a := open(t, shared, prefetch.Options{})
		a.Start(t.Context(), image, block.Call{})
		time.Sleep(900 * time.Millisecond) //nolint:forbidigo // the clock of synctest
		began := time.Now()
		read(t, a.Watch(shared), image.Blocks[3].ID)
		if waited := time.Since(began); waited != 100*time.Millisecond || m.Reads(image.Blocks[3].ID) != 1 {
			t.Fatalf("waited %v, %d reads", waited, m.Reads(image.Blocks[3].ID))
		}
		settle() // the flight of the last one fills L1
	})
}

func TestReadAheadEnds(t *testing.T) {
	for _, how := range []string{"stop", "context", "close"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, image := newMedium(t, 100)
				m.takes = time.Hour
				a := open(t, m, prefetch.Options{Timeout: 24 * time.Hour})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				run := a.Start(ctx, image, block.Call{})
				synctest.Wait()
				switch how {
				case "stop":
					run.Stop()
					run.Stop()
				case "context":
					cancel()
				case "close":
					a.Close()
				}
				synctest.Wait()
				if !run.Ended() || a.Runs() != 0 || m.inside != 0 || len(m.asked()) != 16 {
					t.Fatalf("ended %v, %d runs, %d reads of %d go on", run.Ended(), a.Runs(), m.inside, len(m.asked()))
				}
				run.Touched(image.Blocks[50].ID)
				if a.Close(); !a.Start(t.Context(), image, block.Call{}).Ended() {
					t.Fatal("a run began after Close")
				}
			})
		})
	}
}

func TestReadAheadGivesUpAfterFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, image := newMedium(t, 200)
		m.Before = func(context.Context, block.ID) error { return fmt.Errorf("it burns: %w", block.ErrUnavailable) }
		a := open(t, m, prefetch.Options{MaxFailures: 20})
		run := a.Start(t.Context(), image, block.Call{})
		settle()
		if n := m.TotalReads(); !run.Ended() || n < 20 || n > 20+16 {
			t.Fatalf("ended %v after %d failures", run.Ended(), n)
		}
	})
}

// Few failures cost nothing but the blocks that failed.
func TestReadAheadSurvivesFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, image := newMedium(t, 100)
		for i := range 10 {
			m.Remove(image.Blocks[i*7].ID)
		}
		a := open(t, m, prefetch.Options{Budget: 5 * size})
		watched := a.Watch(m)
		run := a.Start(t.Context(), image, block.Call{})
		for i := range 100 {
			settle()
			if b, err := watched.ReadBlock(demand(t.Context()), image.Blocks[i].ID); err == nil {
				b.Release()
			}
		}
		settle()
		if n := m.TotalReads(); !run.Ended() || n != 200 {
			t.Fatalf("ended %v after %d reads", run.Ended(), n)
		}
	})
}

func TestReadAheadOddImages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, image := newMedium(t, 2)
		a := open(t, m, prefetch.Options{Budget: 1})
		if !a.Start(t.Context(), prefetch.Image{}, block.Call{}).Ended() {
			t.Fatal("an image without blocks is read ahead of")
		}
		twice := prefetch.Image{Names: []string{"app"}, Blocks: slices.Concat(image.Blocks, image.Blocks)}
		run := a.Start(t.Context(), twice, block.Call{})
		run.Touched(block.Sum([]byte("no block of it")))
		settle()
		if n := m.TotalReads(); n != 1 { // the budget is smaller than a block
			t.Fatalf("%d reads", n)
		}
		for _, b := range image.Blocks {
			run.Touched(b.ID)
		}
		settle()
		if !run.Ended() {
			t.Fatal("everything is used and it goes on")
		}
	})
}

// What others read, or read for another reason, does not move a run.
func TestWatchOnlyDemandOfTheImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, image := newMedium(t, 50)
		a := open(t, m, prefetch.Options{Budget: 2 * size})
		watched := a.Watch(m)
		a.Start(t.Context(), image, block.Call{})
		settle()
		for _, call := range []block.Call{{}, {Image: "other"}, {Image: "app", Cause: block.Prefetch}, {Image: "app", Cause: block.Repair}} {
			b, err := watched.ReadBlock(block.WithCall(t.Context(), call), image.Blocks[0].ID)
			if err != nil {
				t.Fatal(err)
			}
			b.Release()
		}
		settle()
		if n := m.TotalReads(); n != 2+4 {
			t.Fatalf("%d reads", n)
		}
		b, err := watched.ReadBlock(block.WithCall(t.Context(), block.Call{Image: "blake3:app"}), image.Blocks[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		b.Release()
		settle()
		if n := m.TotalReads(); n != 2+4+1+1 {
			t.Fatalf("%d reads after a program read one block", n)
		}
	})
}
