package tiers_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/tiers"
)

// A shared link takes a while to the first byte, and its rate is shared by all.
type sharedLink struct {
	block  block.Block
	delay  time.Duration
	rate   float64 // bytes a second
	inside atomic.Int64
	behind atomic.Int64 // of inside: for no program
	most   atomic.Int64 // of behind
}

func (l *sharedLink) ReadBlock(ctx context.Context, _ block.ID) (block.Block, error) {
	if block.CallFrom(ctx).Cause != block.Demand {
		n := l.behind.Add(1)
		l.most.Store(max(l.most.Load(), n))
		defer l.behind.Add(-1)
	}
	l.inside.Add(1)
	defer l.inside.Add(-1)
	<-time.After(l.delay)
	for left := float64(max(block.CallFrom(ctx).Bytes, 1)); left > 0; left -= l.rate * 0.001 / float64(l.inside.Load()) {
		<-time.After(time.Millisecond)
	}
	return l.block.Retain(), nil
}

func (l *sharedLink) read(t *testing.T, r block.Reader, call block.Call) time.Duration {
	began := time.Now()
	b, err := r.ReadBlock(block.WithCall(t.Context(), call), l.block.ID())
	if err != nil {
		t.Error(err)
	}
	b.Release()
	return time.Since(began)
}

func newSharedLink(t *testing.T, delay time.Duration, rate float64) *sharedLink {
	return &sharedLink{block: blocktest.Blocks(t, 1, 1, 100)[0], delay: delay, rate: rate}
}

func TestNobodyYieldsToItselfOrToNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newSharedLink(t, time.Second, 1e9)
		r := tiers.Yield(l)
		go l.read(t, r, block.Call{Image: "a"}) // its own program
		for range 50 {
			go l.read(t, r, block.Call{Image: "a", Cause: block.Prefetch, Bytes: 1 << 20})
		}
		synctest.Wait()
		if n := l.behind.Load(); n != 50 {
			t.Errorf("%d of 50 reads ahead were let in", n)
		}
		<-time.After(time.Minute)
	})
}

func TestWhatBecomesUrgentYieldsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newSharedLink(t, 100*time.Millisecond, 1e9)
		r := tiers.Yield(l)
		go l.read(t, r, block.Call{Image: "a"})
		synctest.Wait()
		urgency := new(block.Urgency)
		for i := range 9 {
			call := block.Call{Image: "b", Cause: block.Prefetch, Bytes: 1 << 20}
			if i == 8 {
				call.Urgency = urgency
			}
			go l.read(t, r, call)
			synctest.Wait()
		}
		if n := l.inside.Load(); n != 2 {
			t.Errorf("%d reads are under way, want a program's and one other", n)
		}
		urgency.Raise()
		synctest.Wait()
		if n := l.inside.Load(); n != 3 {
			t.Errorf("%d reads are under way once another is waited for", n)
		}
		// When the program has been quiet for long, and a read is over, all come in.
		<-time.After(time.Second)
		if n := l.most.Load(); n < 3 {
			t.Errorf("at most %d were let in at a time after the program had ended", n)
		}
		<-time.After(time.Minute)
	})
}

// Beside a program's reads there are as many bytes for no program as the link has
// room for: few on a thin one, many on a wide one.
func TestWhatIsReadAheadTakesTheRoomThatThereIs(t *testing.T) {
	for name, link := range map[string]struct {
		rate     float64
		least    int     // reads ahead that come to their end in two seconds
		slowdown float64 // of a program's reads, on average
	}{
		"thin": {25e6, 20, 1.6},
		"wide": {10e9, 1000, 1.1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newSharedLink(t, 30*time.Millisecond, link.rate)
				r := tiers.Yield(l)
				program := func(n int) (mean time.Duration) {
					for range n {
						mean += l.read(t, r, block.Call{Image: "a", Bytes: 128 << 10}) / time.Duration(n)
						<-time.After(10 * time.Millisecond)
					}
					return mean
				}
				alone := program(20)
				var done atomic.Int64
				ctx, cancel := context.WithCancel(t.Context())
				for range 256 {
					go func() {
						for ctx.Err() == nil {
							l.read(t, r, block.Call{Image: "b", Cause: block.Prefetch, Bytes: 256 << 10})
							done.Add(1)
						}
					}()
				}
				began := time.Now()
				var beside time.Duration
				rounds := 0
				for ; time.Since(began) < 2*time.Second; rounds++ {
					beside += program(1)
				}
				beside /= time.Duration(rounds)
				cancel()
				slowdown := float64(beside) / float64(alone)
				t.Logf("a read takes %v alone and %v beside %d reads ahead", alone, beside, done.Load())
				if slowdown > link.slowdown || done.Load() < int64(link.least) {
					t.Errorf("%.2f times as long, %d reads ahead", slowdown, done.Load())
				}
				<-time.After(time.Minute)
			})
		})
	}
}

// Short reads do not pass a long one of their image that waits; those of another image
// do. Once no program reads any more, whoever comes brings those in who wait.
func TestALongReadIsNotPassedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		var mu sync.Mutex
		var inside []string
		b := blocktest.Blocks(t, 1, 1, 100)[0]
		r := tiers.Yield(block.ReaderFunc(func(ctx context.Context, _ block.ID) (block.Block, error) {
			mu.Lock()
			inside = append(inside, block.CallFrom(ctx).Workload)
			mu.Unlock()
			<-goOn
			return b.Retain(), nil
		}))
		read := func(name, image string, cause block.Cause, kib int) {
			go func() {
				got, err := r.ReadBlock(block.WithCall(t.Context(), block.Call{Image: image, Workload: name, Cause: cause, Bytes: kib << 10}), b.ID())
				if err != nil {
					t.Error(err)
				}
				got.Release()
			}()
			synctest.Wait()
		}
		want := func(names ...string) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			slices.Sort(inside) // those who are let in at once come in any order
			slices.Sort(names)
			if !slices.Equal(inside, names) {
				t.Errorf("inside are %q, want %q", inside, names)
			}
		}
		read("program", "a", block.Demand, 64)
		read("first", "b", block.Prefetch, 64)
		read("long", "b", block.Prefetch, 512)
		read("short", "b", block.Prefetch, 32)
		want("program", "first")
		read("other", "c", block.Prefetch, 32)
		want("program", "first", "other")
		<-time.After(time.Second)
		read("late", "d", block.Prefetch, 512)
		want("program", "first", "other", "long", "short", "late")
		close(goOn)
		synctest.Wait()
	})
}
