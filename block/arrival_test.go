package block_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

const heldBack = 4 << 10

// fill puts the bytes of p that are missing into a, in pieces of at most step.
func fill(t *testing.T, a *block.Arrival, p []byte, step int) {
	t.Helper()
	if err := a.Begin(len(p)); err != nil {
		t.Fatal(err)
	}
	for have := a.Have(); have < len(p); have = a.Have() {
		a.Advance(copy(a.Space(), p[have:min(have+step, len(p))]))
	}
}

// follow reads a from offset to its end.
func follow(ctx context.Context, a *block.Arrival, offset int) ([]byte, error) {
	var got []byte
	for {
		p, err := a.Next(ctx, offset+len(got))
		if err != nil {
			return got, err
		}
		if got = append(got, p...); offset+len(got) == a.Size() {
			return got, nil
		}
	}
}

func TestArrivalReadersFollowTheWriter(t *testing.T) {
	for _, size := range []int{0, 1, heldBack - 1, heldBack, heldBack + 1, 70_000, block.MaxSize} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			p := blocktest.Bytes(1, size)
			a := block.NewArrival(block.Sum(p), block.NewPool(0))
			var wg sync.WaitGroup
			for i := range 8 {
				own := a.Join()
				wg.Go(func() {
					defer own.Leave()
					from := i * size / 8
					got, err := follow(context.Background(), own, from)
					if err != nil || !bytes.Equal(got, p[from:]) {
						t.Errorf("reader from %d: %d bytes, %v", from, len(got), err)
					}
				})
			}
			fill(t, a, p, 5000)
			b, err := a.Finish(block.Peer)
			if err != nil {
				t.Fatal(err)
			}
			a.Leave()
			if b.From != block.Peer || b.ID() != a.ID() || !bytes.Equal(b.Bytes(), p) {
				t.Errorf("block %s from %s", b.ID().Short(), b.From)
			}
			wg.Wait()
			b.Release()
		})
	}
}

// Nobody reads the last bytes of a block before it is verified.
func TestArrivalHoldsBackUntilVerified(t *testing.T) {
	for _, size := range []int{0, 1, heldBack, heldBack + 1, 10_000} {
		p := blocktest.Bytes(1, size)
		a := block.NewArrival(block.Sum(p), block.NewPool(0))
		if a.Flowing() || a.Readable(0) {
			t.Fatalf("%d bytes: flows before Begin", size)
		}
		fill(t, a, p, 1000)
		open := max(size-heldBack, 0)
		if a.Flowing() != (open > 0) || a.Readable(0) != (open > 0) || a.Readable(open) {
			t.Errorf("%d bytes: flowing %t, readable at 0 %t, at %d %t", size, a.Flowing(), a.Readable(0), open, a.Readable(open))
		}
		if open > 0 {
			if got, err := a.Next(t.Context(), 0); err != nil || len(got) != open {
				t.Errorf("%d bytes: %d may be read, %v", size, len(got), err)
			}
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if got, err := a.Next(ended, open); got != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("%d bytes: the held back: %d bytes, %v", size, len(got), err)
		}
		if _, ok := a.Block(); ok || a.Ended() {
			t.Errorf("%d bytes: ended before Finish", size)
		}
		b, err := a.Finish(block.Peer)
		if err != nil {
			t.Fatal(err)
		}
		b.Release()
		if got, err := a.Next(t.Context(), size); got == nil || len(got) != 0 || err != nil {
			t.Errorf("%d bytes: at the end: %v, %v", size, got, err)
		}
		if !a.Flowing() || !a.Ended() {
			t.Errorf("%d bytes: flowing %t, ended %t", size, a.Flowing(), a.Ended())
		}
		a.Leave()
	}
}

func TestArrivalIsResumedByAnotherWriter(t *testing.T) {
	p := blocktest.Bytes(1, 100_000)
	a := block.NewArrival(block.Sum(p), block.NewPool(0))
	defer a.Leave()
	if a.Size() != -1 || a.Space() != nil {
		t.Error("an arrival has a size before Begin")
	}
	fill(t, a, p[:40_000:40_000][:0], 1) // a size of 0 bytes: the first source lied
	for _, size := range []int{-1, block.MaxSize + 1, len(p)} {
		if err := a.Begin(size); !errors.Is(err, block.ErrCorrupt) {
			t.Errorf("Begin(%d) after Begin(0): %v", size, err)
		}
	}
	next := a.Restart()
	defer next.Leave()
	if _, err := a.Next(t.Context(), 0); !errors.Is(err, block.ErrCorrupt) {
		t.Errorf("reader of the restarted: %v", err)
	}
	if err := next.Begin(len(p)); err != nil {
		t.Fatal(err)
	}
	next.Advance(copy(next.Space(), p[:40_000]))
	fill(t, next, p, 7000)
	b, err := next.Finish(block.Peer)
	if err != nil {
		t.Fatal(err)
	}
	b.Release()
	if err := next.Begin(len(p)); err == nil {
		t.Error("Begin after the end")
	}
}

func TestArrivalOfWrongBytes(t *testing.T) {
	p := blocktest.Bytes(1, 50_000)
	a := block.NewArrival(block.Sum(p), block.NewPool(0))
	if _, err := a.Finish(block.Peer); !errors.Is(err, block.ErrCorrupt) {
		t.Errorf("Finish before Begin: %v", err)
	}
	wrong := bytes.Clone(p)
	wrong[49_999] ^= 1
	fill(t, a, wrong, 10_000)
	reader := make(chan error, 1)
	own := a.Join()
	go func() {
		defer own.Leave()
		got, err := follow(context.Background(), own, 0)
		if len(got) > len(p)-heldBack {
			err = fmt.Errorf("%d bytes of a wrong block were given out", len(got))
		}
		reader <- err
	}()
	if _, err := a.Finish(block.Peer); !errors.Is(err, block.ErrCorrupt) {
		t.Errorf("Finish: %v", err)
	}
	if a.Ended() {
		t.Error("ended by a Finish that failed")
	}
	again := a.Restart()
	a.Leave()
	if err := <-reader; !errors.Is(err, block.ErrCorrupt) {
		t.Errorf("the reader behind: %v", err)
	}
	fill(t, again, p[:0:0], 1)
	again.Leave()
}

func TestArrivalFails(t *testing.T) {
	a := block.NewArrival(block.Sum([]byte("x")), block.NewPool(0))
	own := a.Join()
	broken := errors.New("broken")
	done := make(chan error, 1)
	go func() {
		defer own.Leave()
		_, err := own.Next(context.Background(), 0)
		done <- err
	}()
	a.Fail(broken)
	a.Fail(errors.New("the second failure does not count"))
	if err := <-done; !errors.Is(err, broken) {
		t.Errorf("reader: %v", err)
	}
	if _, ok := a.Block(); ok || a.Flowing() || !a.Ended() {
		t.Error("a failed arrival flows")
	}
	if _, err := a.Finish(block.Peer); err == nil {
		t.Error("a failed arrival was finished")
	}
	<-a.Changed()
	a.Waiting()
	a.Leave()
}

// A failure while the bytes are verified counts for the readers, and the writer
// has its block all the same.
func TestArrivalFailsWhileItIsVerified(t *testing.T) {
	p := blocktest.Bytes(1, block.MaxSize)
	for range 20 {
		a := block.NewArrival(block.Sum(p), block.NewPool(0))
		fill(t, a, p, len(p))
		var wg sync.WaitGroup
		wg.Go(func() { a.Fail(block.ErrUnavailable) })
		b, err := a.Finish(block.Origin)
		wg.Wait()
		switch got, next := a.Next(t.Context(), 0); {
		case err == nil && !bytes.Equal(b.Bytes(), p):
			t.Error("wrong bytes")
		case next == nil && !bytes.Equal(got, p):
			t.Error("wrong bytes for a reader")
		case next != nil && !errors.Is(next, block.ErrUnavailable):
			t.Error(next)
		}
		b.Release()
		a.Leave()
	}
}

func TestArrivalOffsetsOutside(t *testing.T) {
	p := blocktest.Bytes(1, 10_000)
	a := block.NewArrival(block.Sum(p), block.NewPool(0))
	check := func(when string, offsets ...int) {
		t.Helper()
		for _, offset := range offsets {
			if _, err := a.Next(t.Context(), offset); err == nil {
				t.Errorf("%s: offset %d is no error", when, offset)
			}
		}
	}
	check("before Begin", -1)
	fill(t, a, p, 10_000)
	check("while arriving", -1, 10_001)
	b, err := a.Finish(block.Peer)
	if err != nil {
		t.Fatal(err)
	}
	b.Release()
	check("at the end", -1, 10_001)
	a.Leave()
	check("when left", 0)
	for name, misuse := range map[string]func(){"Leave": a.Leave, "Join": func() { a.Join() }} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s without a reference", name)
				}
			}()
			misuse()
		}()
	}
}

func TestArrivalAdvancedTooFar(t *testing.T) {
	a := block.NewArrival(block.ID{}, block.NewPool(0))
	defer a.Leave()
	if err := a.Begin(10); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{-1, 11} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Advance(%d) of 10 bytes", n)
				}
			}()
			a.Advance(n)
		}()
	}
}

func TestArrivalThatEverybodyLeft(t *testing.T) {
	pool := block.NewPool(0)
	a := block.NewArrival(block.ID{}, pool)
	if err := a.Begin(100_000); err != nil {
		t.Fatal(err)
	}
	changed := a.Changed()
	a.Join().Leave()
	a.Leave()
	<-changed
	if pool.InUse() != 0 {
		t.Errorf("%d bytes are in use", pool.InUse())
	}
}
