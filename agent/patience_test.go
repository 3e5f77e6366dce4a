package agent

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/image"
)

// A read and the ones that the kernel makes of it again take a deadline together; the
// next one of a program waits as long again, and one elsewhere in the image always does.
func TestAReadThatFailedIsNotWaitedForTwice(t *testing.T) {
	const size = around / 4
	s := newStore(t, 12, size)
	synctest.Test(t, func(t *testing.T) {
		const deadline = 10 * time.Second
		img := openTest(t, Options{Origin: s, Deadline: deadline, Ahead: -1})
		s.set(func() { s.fail = block.ErrUnavailable })
		read := func(off, n int) time.Duration {
			began := time.Now()
			if _, err := img.ReadAt(make([]byte, n), int64(off)); !errors.Is(err, block.ErrUnavailable) {
				t.Errorf("%d bytes at %d: %v", n, off, err)
			}
			return time.Since(began)
		}
		for round := range 2 {
			took := read(size, 2*size) // read-ahead
			for _, off := range []int{3 * size, size, 2*size + 5, size - 1} {
				took += read(off, 1)
			}
			if took < deadline || took > deadline*11/10 {
				t.Errorf("round %d: a program's read took %s, want %s", round, took, deadline)
			}
			if other := read(8*size, 1000); other != deadline {
				t.Errorf("round %d: a read of another block took %s, want %s", round, other, deadline)
			}
		}
	})
}

// A read that shares a block with a hurried one has its own time for it.
func TestAPatientReadOutlastsAHurriedOne(t *testing.T) {
	const size, deadline, away = around / 4, 10 * time.Second, 2 * time.Second
	s := newStore(t, 12, size)
	for _, comesBack := range []bool{false, true} {
		s.set(func() { s.fail = nil })
		synctest.Test(t, func(t *testing.T) {
			img := openTest(t, Options{Origin: s, Deadline: deadline, Ahead: -1})
			s.set(func() { s.fail = block.ErrUnavailable })
			fails := func(off, n int) {
				if _, err := img.ReadAt(make([]byte, n), int64(off)); !errors.Is(err, block.ErrUnavailable) {
					t.Errorf("%d bytes at %d: %v", n, off, err)
				}
			}
			fails(0, 1)
			if comesBack {
				time.AfterFunc(away, func() { s.set(func() { s.fail = nil }) })
			}
			began, hurriedOver := time.Now(), make(chan time.Time, 1)
			go func() {
				fails(4*size, 2*size) // of which the first is near the read that has failed
				hurriedOver <- time.Now()
			}()
			synctest.Wait()
			if comesBack {
				check(t, img, s, 5*size, 1000)
			} else {
				fails(5*size, 1000)
			}
			took, hurry := time.Since(began), (<-hurriedOver).Sub(began)
			if hurry != deadline/hurried || took < away || !comesBack && took != deadline {
				t.Errorf("coming back: %v: the hurried read took %s, the patient one %s", comesBack, hurry, took)
			}
		})
	}
}

// What a hurried read is told for good is not asked for again.
func TestAFinalErrorIsThatOfAllReaders(t *testing.T) {
	refs, _ := testRefs(1, 1000)
	synctest.Test(t, func(t *testing.T) {
		fetches := 0
		w := openWindow(t, 1<<20, func(context.Context, image.BlockRef) (block.Block, error) {
			fetches++
			<-time.After(time.Second)
			return block.Block{}, block.ErrDenied
		})
		w.fetchAhead(t.Context(), refs, time.Now().Add(2*time.Second))
		if _, _, err := w.get(t.Context(), refs[0], time.Now().Add(time.Minute)); !errors.Is(err, block.ErrDenied) || fetches != 1 {
			t.Errorf("%d fetches: %v", fetches, err)
		}
	})
}

// A daemon that is back is noticed by the next read, however short the time since one
// failed.
func TestAReadThatFailedIsMadeAgain(t *testing.T) {
	s := newStore(t, 2, 1000)
	synctest.Test(t, func(t *testing.T) {
		img := openTest(t, Options{Origin: s, Deadline: time.Second, Ahead: -1})
		s.set(func() { s.fail = block.ErrUnavailable })
		if _, err := img.ReadAt(make([]byte, 10), 0); !errors.Is(err, block.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		s.set(func() { s.fail = nil })
		check(t, img, s, 0, 1000)
	})
}

// What is remembered of failed reads goes.
func TestFailedReadsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := patience{deadline: time.Second}
		for i := range 100 {
			p.ranOut(i, i+1)
			<-time.After(p.deadline / doubted)
		}
		if _, again := p.by(0, 100); again || len(p.failed) > 2 {
			t.Errorf("again %v, %d blocks are remembered", again, len(p.failed))
		}
	})
}

// Who waits for what somebody fetches ahead has no more time for it.
func TestAReadTakesOneDeadline(t *testing.T) {
	refs, _ := testRefs(1, 1000)
	synctest.Test(t, func(t *testing.T) {
		const ahead, deadline = 8 * time.Second, 10 * time.Second
		w, err := newWindow(1<<20, func(ctx context.Context, _ image.BlockRef) (block.Block, error) {
			limit := time.Minute
			if block.CallFrom(ctx).Cause != block.Demand {
				limit = ahead
			}
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			<-ctx.Done()
			return block.Block{}, block.ErrUnavailable
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.close()
		for _, wait := range []time.Duration{deadline, time.Second} { // a fetch of his own, and none
			w.fetchAhead(block.WithCall(t.Context(), block.Call{Cause: block.Prefetch}), refs, time.Time{})
			began := time.Now()
			if _, _, err := w.get(t.Context(), refs[0], began.Add(wait)); !errors.Is(err, block.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
			if took := time.Since(began); took != wait {
				t.Errorf("a read took %s, want %s", took, wait)
			}
			<-time.After(ahead)
		}
	})
}
