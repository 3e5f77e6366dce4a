package gossip

import (
	"bytes"
	"context"
	"crypto/rand"
	"runtime/pprof"
	"time"
)

// lingerTime bounds how long Close waits for goroutines of memberlist; its slowest
// one is a probe without an answer, at most Probe times the worst health score.
const lingerTime = 5 * time.Second

// A brood marks goroutines and all that they start with a label, which profiles
// show, so that their end can be waited for: memberlist's Shutdown does not.
type brood struct{ name string }

func newBrood() brood { return brood{name: rand.Text()} }

// start calls f with the mark.
func (b brood) start(f func()) {
	pprof.Do(context.Background(), pprof.Labels("gossip", b.name), func(context.Context) { f() })
}

// wait returns when no marked goroutine is left, or after lingerTime.
func (b brood) wait() {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for begin := time.Now(); time.Since(begin) < lingerTime; <-tick.C {
		var profile bytes.Buffer
		if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
			return
		}
		if !bytes.Contains(profile.Bytes(), []byte(b.name)) {
			return
		}
	}
}
