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
// that joins, until all nodes hear of a death that one of them found, until all
// rings have lost a node that ended without a word, and until they show one that
// ended and came back under another address. All nodes are in one process and
// share the rings they make.
func TestProveGossip(t *testing.T) {
	n, rounds := 5, 1
	if !figure.Full() {
		t.Parallel()
	} else {
		n, rounds = 16, 9
	}
	var heard atomic.Int64
	set := func(_ int, o *Options) {
		o.KeyFile, o.Insecure, o.Weight, o.Timing = keyFileOf(t, testKey), false, 1, DefaultTiming()
		o.OnDeath = func(string, string) { heard.Add(1) }
	}
	all := zone(t, n, set)
	came := func(name, peer string) *Membership {
		o := options(name, all[0].Address().String(), all[1].Address().String())
		set(0, &o)
		o.PeerAddress = peer
		return open(t, o)
	}
	seen := func(name, address string, extra *Membership) {
		eventually(t, func() string {
			for _, m := range append(slices.Clone(all), extra) {
				if got, _ := m.Ring().Member(name); got.Address != address || m.Ring().Len() != n+1 {
					return fmt.Sprintf("%s has [%s]", m.opt.Node, members(m))
				}
			}
			return ""
		})
	}

	took := map[string][]float64{}
	measure := func(what string, begin time.Time) { took[what] = append(took[what], time.Since(begin).Seconds()) }
	for i := range rounds {
		name := fmt.Sprintf("x%d", i)
		begin := time.Now()
		extra := came(name, "127.0.0.1:1001")
		seen(name, "127.0.0.1:1001", extra)
		measure("join", begin)

		begin = time.Now()
		go extra.Close() // ends its sockets at once, and waits only then
		extra = came(name, "127.0.0.1:1002")
		seen(name, "127.0.0.1:1002", extra)
		measure("restart", begin)

		heard.Store(0)
		begin = time.Now()
		all[i%n].NoteDeath(name, "connection refused")
		eventually(t, func() string {
			if got := heard.Load(); got < int64(n-1) {
				return fmt.Sprintf("%d of %d nodes heard of the death", got, n-1)
			}
			return ""
		})
		measure("notice", begin)

		begin = time.Now()
		go extra.Close()
		rings(t, all, names(all)...)
		measure("death", begin)
	}
	deaths := -2 * n * rounds
	for _, m := range all {
		deaths += int(m.Stats().Deaths)
	}
	if figure.Instrumented {
		return
	}
	for _, what := range []string{"join", "restart", "notice", "death"} {
		s := took[what]
		slices.Sort(s)
		t.Logf("%s of %d nodes: %.3f", what, n, s)
		figure.Report(t, "gossip."+what+"_seen_s", s[len(s)/2], "s")
		figure.Report(t, "gossip."+what+"_seen_worst_s", s[len(s)-1], "s")
	}
	figure.Report(t, "gossip.false_deaths", float64(deaths), "deaths")
}
