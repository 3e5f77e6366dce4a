package prefetch_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/prefetch"
)

// Whoever keeps runs learns of their end, whatever it was, once.
func TestReadAheadTellsItsEnd(t *testing.T) {
	for _, how := range []string{"stop", "context", "close", "all read", "failures", "no blocks"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, image := newMedium(t, 50)
				if how != "all read" {
					m.takes = time.Minute
				}
				switch how {
				case "failures":
					m.Before = func(context.Context, block.ID) error { return block.ErrUnavailable }
				case "no blocks":
					image.Blocks = nil
				}
				a := open(t, m, prefetch.Options{})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				run := a.Start(ctx, image, block.Call{})
				var told atomic.Int32
				run.OnEnd(func() { told.Add(1) })
				switch how {
				case "stop":
					run.Stop()
				case "context":
					cancel()
				case "close":
					a.Close()
				}
				settle()
				if run.Stop(); told.Load() != 1 || !run.Ended() {
					t.Errorf("told %d times, ended %v", told.Load(), run.Ended())
				}
				run.OnEnd(func() { told.Add(1) })
				if told.Load() != 2 {
					t.Error("who asks after the end is told nothing")
				}
			})
		})
	}
}

// A run that waits to be asked for what it has read takes nothing from the others.
func TestAnIdleRunLeavesItsShareToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, image := newMedium(t, 100)
		a := open(t, m, prefetch.Options{Budget: 40 * size, Order: serial, LookAhead: serial})
		idle := a.Start(t.Context(), prefetch.Image{Names: []string{"small"}, Blocks: image.Blocks[:10]}, block.Call{})
		settle()
		a.Start(t.Context(), prefetch.Image{Names: []string{"large"}, Blocks: image.Blocks[10:]}, block.Call{})
		settle()
		if n := len(m.asked()); !idle.Idle() || idle.Ended() || n != 10+40 {
			t.Fatalf("%d blocks read, the first run is idle: %v, has ended: %v", n, idle.Idle(), idle.Ended())
		}
	})
}

// What a run has read when it gives up is still there for programs.
func TestARunThatGaveUpKnowsWhatWasUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, image := newMedium(t, 20)
		for _, b := range image.Blocks[5:] {
			m.Remove(b.ID)
		}
		a := open(t, m, prefetch.Options{Order: serial, LookAhead: serial, MaxFailures: 3})
		run := a.Start(t.Context(), image, block.Call{})
		settle()
		for _, b := range image.Blocks {
			run.Touched(b.ID)
		}
		want := prefetch.Outcome{Used: prefetch.Count{Blocks: 5, Bytes: 5 * size}, Wasted: prefetch.Count{Blocks: 3, Bytes: 3 * size}}
		if o := run.Outcome(); o.Used != want.Used || o.Wasted != want.Wasted || o.Pending != want.Pending || !run.Ended() {
			t.Fatalf("ended %v: %+v, want %+v", run.Ended(), o, want)
		}
	})
}

// An agent that died closes no session. One that is slow is waited for.
func TestAnIdleRunEndsWhenNobodyAsksForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, image := newMedium(t, 5)
		run := open(t, m, prefetch.Options{}).Start(t.Context(), image, block.Call{})
		for _, b := range image.Blocks[:3] {
			pause(100 * time.Second)
			run.Touched(b.ID)
		}
		if run.Ended() {
			t.Fatal("it ended while a program reads on")
		}
		pause(5 * time.Minute)
		want := prefetch.Outcome{Used: prefetch.Count{Blocks: 3, Bytes: 3 * size}, Wasted: prefetch.Count{Blocks: 2, Bytes: 2 * size}}
		if o := run.Outcome(); !run.Ended() || o != want {
			t.Fatalf("ended %v: %+v, want %+v", run.Ended(), o, want)
		}
	})
}
