package prefetch_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/prefetch"
)

// serial reads one block at a time, in order.
var serial = placement.OrderLimits{Window: 1, Out: 1, Demand: 1}

func upFrom(first, n int) []uint32 {
	all := make([]uint32, n)
	for i := range all {
		all[i] = uint32(first + i)
	}
	return all
}

func TestALearnedRunReadsItsListOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, image := newMedium(t, 100)
		a := open(t, m, prefetch.Options{Order: serial, LookAhead: serial})
		run := a.StartLearned(t.Context(), image, []uint32{40, 3, 77, 3, 5000}, block.Call{Image: "app"})
		settle()
		if got := m.asked(); !slices.Equal(got, []int{40, 3, 77}) {
			t.Errorf("%v", got)
		}
		if run.Ended() {
			t.Error("it ends before its outcome is known")
		}
		if o := run.Outcome(); o.Pending.Blocks != 3 || o.Pending.Bytes != 3*size {
			t.Errorf("%+v", o)
		}
	})
}

func TestOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, image := newMedium(t, 100)
		m.takes = time.Second
		a := open(t, m, prefetch.Options{Order: serial, LookAhead: serial})
		reader := a.Watch(m)
		run := a.StartLearned(t.Context(), image, upFrom(10, 4), block.Call{Image: "app"})
		pause(1500 * time.Millisecond)
		touch := func(i int) { run.Touched(image.Blocks[i].ID) }
		touch(10)                            // is here
		touch(11)                            // is on its way
		touch(12)                            // comes next
		touch(90)                            // is not expected
		touch(90)                            // nor for the second time
		read(t, reader, image.Blocks[91].ID) // nor through the reader
		settle()
		want := prefetch.Outcome{Used: prefetch.Count{1, size}, Late: prefetch.Count{1, size}, Pending: prefetch.Count{1, size}, Missed: 3}
		if got := run.Outcome(); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		run.Stop()
		touch(13)
		want.Wasted, want.Pending = want.Pending, prefetch.Count{}
		got := run.Outcome()
		if got != want {
			t.Errorf("at the end: %+v, want %+v", got, want)
		}
		if p, r := got.Precision(), got.Recall(); p < 0.66 || p > 0.67 || r != 0.4 {
			t.Errorf("precision %v, recall %v", p, r)
		}
		if got = got.Plus(got); got.Missed != 6 || got.Wasted.Bytes != 2*size {
			t.Errorf("twice: %+v", got)
		}
	})
}

// What fails is wasted, and a program that asks for it afterwards has missed it. A
// run that is stopped while it reads counts nothing twice.
func TestOutcomeOfFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, image := newMedium(t, 100)
		m.Remove(image.Blocks[10].ID)
		a := open(t, m, prefetch.Options{Order: serial, LookAhead: serial})
		run := a.StartLearned(t.Context(), image, upFrom(10, 2), block.Call{Image: "app"})
		settle()
		run.Touched(image.Blocks[10].ID)
		if o := run.Outcome(); o.Wasted.Blocks != 1 || o.Missed != 1 || o.Pending.Blocks != 1 {
			t.Errorf("%+v", o)
		}
		m.takes = time.Minute
		run = a.StartLearned(t.Context(), image, upFrom(20, 2), block.Call{Image: "app"})
		pause(time.Second)
		run.Stop()
		settle()
		if o := run.Outcome(); o != (prefetch.Outcome{Wasted: prefetch.Count{1, size}}) {
			t.Errorf("stopped: %+v", o)
		}
	})
}

// A list that no program confirms costs a bounded number of bytes; one that is
// confirmed is read as far as the budget goes.
func TestALearnedListIsTrustedAsFarAsItIsConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, image := newMedium(t, 400)
		for i := range image.Blocks {
			image.Blocks[i].Length = 1 << 20
		}
		a := open(t, m, prefetch.Options{Budget: 1 << 30})
		run := a.StartLearned(t.Context(), image, upFrom(0, 400), block.Call{Image: "app"})
		settle()
		if n := len(m.asked()); n != 8 {
			t.Errorf("%d MiB are read in vain, want 8", n)
		}
		for i := range 4 {
			run.Touched(image.Blocks[i].ID)
		}
		settle()
		if n := len(m.asked()); n != 4+8+4*4 {
			t.Errorf("%d MiB after four were asked for", n)
		}
	})
}
