package dashboards_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// startReadZone starts three hosts, and a program on each that reads until the test ends.
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
	return targets
}
