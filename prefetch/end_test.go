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
