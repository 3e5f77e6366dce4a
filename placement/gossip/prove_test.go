package gossip

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecache/cached/internal/figure"
)

// TestProveGossip measures how long it takes until all rings of a zone show a node
// that joins, and until they lose one that ends without a word. All nodes are in
// one process and share the rings they make.
func TestProveGossip(t *testing.T) {
	n, rounds := 8, 1
	if figure.Full() {
		n, rounds = 16, 9
	}
	var heard atomic.Int64
	opts := func(_ int, o *Options) {
		o.KeyFile, o.Insecure, o.Timing = keyFileOf(t, testKey), false, DefaultTiming()
		o.OnDeath = func(string, string) { heard.Add(1) }
	}
	all := zone(t, n, opts)

	var joins, deaths, notices []float64
	for i := range rounds {
		name := fmt.Sprintf("x%d", i)
		o := options(name, all[0].Address().String(), all[1].Address().String())
		opts(0, &o)
		begin := time.Now()
		extra := open(t, o)
		rings(t, append(slices.Clone(all), extra), append(names(all), name)...)
		joins = append(joins, time.Since(begin).Seconds())

		// The node dies, which a reader finds out at once, and tells.
		heard.Store(0)
		begin = time.Now()
		all[i%n].NoteDeath(name, "connection refused")
		eventually(t, func() string {
			if got := heard.Load(); got < int64(n-1) {
				return fmt.Sprintf("%d of %d nodes heard of the death", got, n-1)
			}
			return ""
		})
		notices = append(notices, time.Since(begin).Seconds())

		begin = time.Now()
		go extra.Close() // ends its sockets at once, and waits only then
		rings(t, all, names(all)...)
		deaths = append(deaths, time.Since(begin).Seconds())
	}
	report := func(name string, s []float64) {
		slices.Sort(s)
		t.Logf("%s of %d nodes: %.3f", name, n, s)
		figure.Report(t, "gossip."+name+"_seen_s", s[len(s)/2], "s")
		figure.Report(t, "gossip."+name+"_seen_worst_s", s[len(s)-1], "s")
	}
	if figure.Instrumented {
		return
	}
	report("join", joins)
	report("notice", notices)
	report("death", deaths)
}
