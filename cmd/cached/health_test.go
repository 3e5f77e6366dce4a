package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/tiers/origin"
)

// Who asks whether the daemon is ready is told of now, not of the last check.
func TestReadinessIsOfNow(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "origin")
	synctest.Test(t, func(t *testing.T) {
		o, err := origin.Open(t.Context(), []string{"file://" + dir}, origin.Options{})
		if err != nil {
			t.Fatal(err)
		}
		h := newHealth(o, slog.New(slog.DiscardHandler))
		go h.watch(t.Context())
		synctest.Wait()
		if len(h.notReady()) == 0 {
			t.Fatal("ready without an origin")
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if len(h.now(t.Context())) == 0 {
			t.Error("checked again at once")
		}
		<-time.After(againEvery)
		if why := h.now(t.Context()); len(why) > 0 {
			t.Errorf("the origin is there: %q", why)
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		<-time.After(againEvery)
		if why := h.now(t.Context()); len(why) > 0 {
			t.Errorf("an origin that answers is asked now and then, not by everybody who asks: %q", why)
		}
	})
}

// However many ask, an origin that hangs is asked by one of them, and nobody waits
// for it.
func TestReadinessDoesNotWaitForAnOriginThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth(&origin.Origin{}, slog.New(slog.DiscardHandler))
		h.problems, h.checked = []string{"it fails"}, true
		var checks atomic.Int32
		go func() { // as watch, of an origin that hangs
			for range h.poke {
				checks.Add(1)
				<-time.After(time.Minute)
			}
		}()
		began := time.Now()
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				if why := h.now(t.Context()); len(why) != 1 {
					t.Errorf("%q", why)
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took > againTimeout || checks.Load() != 1 {
			t.Errorf("%d checks, after %v", checks.Load(), took)
		}
		close(h.poke)
		<-time.After(time.Hour)
	})
}
