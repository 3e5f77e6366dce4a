package dashboards_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/testtool"
	"github.com/zonecache/cached/loadtest/zone"
)

// A target is a daemon, and how Prometheus sees it.
type target struct {
	node, admin, listen string
	start               func() *testtool.Process // again, after it was stopped
	process             *testtool.Process
}

// A site is what hosts of a zone have in common.
type site struct {
	programs zone.Programs
	dir      string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{dir: t.TempDir()}
	var err error
	if s.programs, err = zone.Build(s.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.file("keys"), []byte(s.run(t, "certs", "gossip-key")), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run(t, "certs", "init", "--dir", s.file("ca"), "--zone", "z1")
	return s
}

func (s *site) file(name string) string { return filepath.Join(s.dir, name) }

func (s *site) origin() string { return "file://" + s.file("origin") }

func (s *site) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.programs.Command(args...).CombinedOutput()
	if err != nil {
		t.Fatalf("cached %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// start starts n hosts that know each other by certificates, with further flags.
func (s *site) start(t *testing.T, n int, flags ...string) (targets []target) {
	t.Helper()
	address := func() string { return fmt.Sprintf("127.0.0.1:%d", testtool.FreePort(t)) }
	seed := address()
	for i := range n {
		h := target{node: fmt.Sprintf("h%d", i), listen: address(), admin: address()}
		gossip := seed
		s.run(t, "certs", "issue", "--ca", s.file("ca"), "--node", h.node, "--out", s.file(h.node))
		args := append([]string{
			"serve", "--data-dir", s.file(h.node + "-data"), "--origin", s.origin(), "--listen", h.listen, "--admin", h.admin, "--l2-min-free", "0",
			"--zone", "z1", "--node", h.node, "--zone-tls", s.file(h.node), "--gossip-keys", s.file("keys"), "--peer-listen", address(),
		}, flags...)
		if i > 0 {
			gossip = address()
			args = append(args, "--seed", seed)
		}
		args = append(args, "--gossip", gossip)
		h.start = func() *testtool.Process {
			return testtool.Start(t, s.programs.Command(args...), testtool.Answering("http://"+h.admin+"/readyz"))
		}
		h.process = h.start()
		targets = append(targets, h)
	}
	return targets
}

// startReadZone starts three hosts, and a program on each that reads until the test ends;
// beside them, images that are new start on one host after the other.
func startReadZone(t *testing.T) []target {
	t.Helper()
	s := newSite(t)
	if err := os.WriteFile(s.file("bytes"), blocktest.Bytes(1, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run(t, "publish", "file:"+s.file("bytes"), "--name", "app", "--origin", s.origin())
	nobody := fmt.Sprintf("http://127.0.0.1:%d", testtool.FreePort(t)) // exemplars want traces, nobody collects them
	targets := s.start(t, 3, "--l1-size", "16MiB", "--l2-size", "64MiB", "--tracing-endpoint", nobody, "--tracing-sample", "1")
	for _, h := range targets {
		stop, done := make(chan struct{}), make(chan struct{})
		t.Cleanup(func() { close(stop); <-done })
		go func() {
			defer close(done)
			for {
				_ = s.programs.Command("read", "app", "--output", "/dev/null", "--server", "http://"+h.listen).Run()
				select {
				case <-stop:
					return
				case <-time.After(200 * time.Millisecond):
				}
			}
		}()
	}
	s.startNew(t, targets)
	return targets
}

// startNew publishes one image after the other until the test ends. Each starts on the
// first host, and once it may be known what it needs, on the others.
func (s *site) startNew(t *testing.T, targets []target) {
	t.Helper()
	const size = 4 << 20
	var clients []*api.Client
	for _, h := range targets {
		c, err := api.NewClient("http://"+h.listen, api.ClientOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		clients = append(clients, c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	l := &load{site: s}
	file := s.file("new")
	go func() {
		defer close(done)
		random := rand.New(rand.NewPCG(1, 1))
		for n := uint64(2); ctx.Err() == nil; n++ {
			name := fmt.Sprintf("new:v%d", n)
			if err := os.WriteFile(file, blocktest.Bytes(n, size), 0o600); err != nil {
				t.Error(err)
				return
			}
			_ = s.programs.Command("publish", "file:"+file, "--name", name, "--origin", s.origin()).Run()
			for _, c := range clients {
				l.start(ctx, c, name, random)
				wait(ctx, 3*time.Second)
			}
		}
	}()
}
