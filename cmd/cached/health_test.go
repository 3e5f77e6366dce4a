package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/tiers/origin"
)

// Who asks whether the daemon is ready is told of now, not of the last check; and
// asking often checks seldom.
func TestReadinessIsOfNow(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "origin")
	synctest.Test(t, func(t *testing.T) {
		o, err := origin.Open(t.Context(), []string{"file://" + dir}, origin.Options{})
		if err != nil {
			t.Fatal(err)
		}
		h := newHealth(o, slog.New(slog.DiscardHandler))
		h.check(t.Context())
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
