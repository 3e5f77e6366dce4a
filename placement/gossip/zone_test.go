package gossip

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/placement"
)

// TestMain runs many tests at once: they wait for probes more than they compute.
func TestMain(m *testing.M) {
	flag.Parse()
	parallel := "12"
	if figure.Instrumented {
		parallel = "6"
	}
	if err := flag.Set("test.parallel", parallel); err != nil {
		panic(err)
	}
	blocktest.Main(m)
}

// patience is how long a test waits for what should take seconds.
const patience = 2 * time.Minute

// quick is the default timing, looked at more often; a build that checks itself
// is given more time, so that no node seems dead because it is slow.
func quick() Timing {
	t := DefaultTiming()
	t.Probe, t.Timeout = 300*time.Millisecond, 120*time.Millisecond
	t.Seek, t.Publish, t.Reload = time.Second, 50*time.Millisecond, 20*time.Millisecond
	if figure.Instrumented {
		t.Probe, t.Timeout = 4*t.Probe, 4*t.Timeout
	}
	return t
}

// options are those of a node of weight 0: a ring of nodes that own nothing is
// quickly made.
func options(name string, seeds ...string) Options {
	return Options{
		Node: name, Zone: "z1", Bind: "127.0.0.1:0", PeerAddress: "127.0.0.1:7072", Version: "v1",
		Seeds: seeds, Insecure: true, Timing: quick(), MakeRing: shared.make,
	}
}

func open(tb testing.TB, opt Options) *Membership {
	tb.Helper()
	m, err := Open(context.Background(), opt)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := m.Close(); err != nil {
			tb.Error(err)
		}
	})
	return m
}

// zone opens nodes n0, n1, ... that have n0 as their seed.
func zone(tb testing.TB, n int, change func(int, *Options)) []*Membership {
	tb.Helper()
	var all []*Membership
	for i := range n {
		opt := options(fmt.Sprintf("n%d", i))
		if i > 0 {
			opt.Seeds = []string{all[0].Address().String()}
		}
		if change != nil {
			change(i, &opt)
		}
		all = append(all, open(tb, opt))
	}
	rings(tb, all, names(all)...)
	return all
}

// A ringMaker makes each ring once for all nodes, which have one machine among
// them: making one takes tens of milliseconds.
type ringMaker struct {
	mu    sync.Mutex
	rings map[string]*placement.Ring
}

var shared ringMaker

func (r *ringMaker) make(members []placement.Member) *placement.Ring {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := fmt.Sprint(members)
	if len(r.rings) > 16 || r.rings == nil {
		r.rings = map[string]*placement.Ring{}
	}
	if r.rings[key] == nil {
		r.rings[key] = placement.NewRing(members)
	}
	return r.rings[key]
}

func names(all []*Membership) []string {
	var s []string
	for _, m := range all {
		s = append(s, m.opt.Node)
	}
	return s
}

func members(m *Membership) string {
	var s []string
	for _, member := range m.Ring().Members() {
		s = append(s, member.Name)
	}
	return strings.Join(s, " ")
}

// rings waits until the rings of all these nodes hold exactly these members.
func rings(tb testing.TB, all []*Membership, want ...string) {
	tb.Helper()
	text := map[string]bool{}
	for _, w := range want {
		text[w] = true
	}
	eventually(tb, func() string {
		for _, m := range all {
			got := m.Ring().Members()
			ok := len(got) == len(text)
			for _, member := range got {
				ok = ok && text[member.Name]
			}
			if !ok {
				return fmt.Sprintf("%s has the ring [%s], want %v", m.opt.Node, members(m), want)
			}
		}
		return ""
	})
}

// eventually waits until f finds nothing wrong.
func eventually(tb testing.TB, f func() string) {
	tb.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for begin := time.Now(); ; <-tick.C {
		wrong := f()
		if wrong == "" {
			return
		}
		if time.Since(begin) > patience {
			tb.Fatal(wrong)
		}
	}
}

// A book is a log that tests read.
type book struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *book) count(part string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.text.String(), part)
}

func (b *book) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

// says waits for a line.
func (b *book) says(tb testing.TB, part string) {
	tb.Helper()
	eventually(tb, func() string {
		if b.count(part) > 0 {
			return ""
		}
		return fmt.Sprintf("the log does not say %q", part)
	})
}

func keyFileOf(tb testing.TB, keys ...string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "keys")
	writeKeys(tb, path, keys...)
	return path
}

func writeKeys(tb testing.TB, path string, keys ...string) {
	tb.Helper()
	next := path + ".next"
	if err := os.WriteFile(next, []byte(strings.Join(keys, "\n")+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		tb.Fatal(err)
	}
}

const testKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
