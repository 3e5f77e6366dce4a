package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/testtool"
)

// A mountTest is a daemon with a tree published as "tree".
type mountTest struct {
	t      *testing.T
	tree   string // the directory that was published
	origin string // URL
	args   []string
	daemon *demoDaemon
	state  string
	keep   string // how long, where a test says nothing else
}

// bothWays runs a test of a mount that ends with its process, and of one of which the
// process keeps something.
func bothWays(t *testing.T, test func(*mountTest)) {
	t.Helper()
	for _, keep := range []string{"0", "1m"} {
		t.Run("keep "+keep, func(t *testing.T) {
			m := startMountTest(t)
			m.keep = keep
			test(m)
		})
	}
}

func needMounts(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root: run the test as root")
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skipf("this system has no FUSE: %v", err)
	}
}

func startMountTest(t *testing.T) *mountTest {
	t.Helper()
	needMounts(t)
	dir := t.TempDir()
	m := &mountTest{t: t, tree: filepath.Join(dir, "tree"), origin: "file://" + dir + "/origin", state: filepath.Join(dir, "state"), keep: "0"}
	for i := range 40 {
		name := filepath.Join(m.tree, fmt.Sprintf("d%d", i%4), fmt.Sprintf("f%d", i))
		err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, blocktest.Bytes(uint64(i), 100_000+7*i), 0o644))
		if err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("cached", "publish", "dir:"+m.tree, "--name", "tree", "--origin", m.origin).CombinedOutput(); err != nil {
		t.Fatalf("publish: %v\n%s", err, out)
	}
	m.args = []string{"--data-dir", filepath.Join(dir, "data"), "--origin", m.origin, "--l2-size", "64MiB", "--l2-min-free", "0"}
	m.daemon = startTestDaemon(t, m.args...)
	return m
}

// cached runs the binary.
func (m *mountTest) cached(args ...string) (string, error) {
	cmd := exec.Command("cached", append([]string{args[0], "--state-dir", m.state}, args[1:]...)...)
	cmd.Env = append(os.Environ(), "CACHED_SERVER="+m.daemon.client.URL(), "CACHED_KEEP="+m.keep)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run() // the mount's process has no part of these pipes
	return out.String(), err
}

// mount mounts the tree and returns where and the process that serves it; the test
// takes it down.
func (m *mountTest) mount(flags ...string) (string, int) {
	m.t.Helper()
	dir := m.t.TempDir()
	out, err := m.cached(append([]string{"mount", "tree", dir, "--json"}, flags...)...)
	var said mounted
	if err != nil || json.Unmarshal([]byte(out), &said) != nil || said.Dir != dir || said.Kind == "" {
		m.t.Fatalf("mount: %v\n%s", err, out)
	}
	m.t.Cleanup(func() {
		if out, err := m.cached("umount", dir, "--now"); err != nil && !strings.Contains(out, "nothing of ours") {
			m.t.Errorf("umount: %v\n%s\n%s", err, out, m.log())
		}
	})
	return dir, said.PID
}

// log returns what the mounts' processes have logged.
func (m *mountTest) log() string {
	var all strings.Builder
	names, _ := filepath.Glob(filepath.Join(m.state, "*", "log"))
	for _, name := range names {
		doc, _ := os.ReadFile(name)
		all.Write(doc)
	}
	return all.String()
}

// check compares the mount with the tree, by a process of its own as users do.
func (m *mountTest) check(dir string) {
	m.t.Helper()
	if out, err := exec.Command("diff", "-r", m.tree, dir).CombinedOutput(); err != nil {
		m.t.Errorf("diff: %v\n%.2000s\n%s", err, out, m.log())
	}
}

// end takes a mount down, what is kept of it as well, and checks that nothing is left.
func (m *mountTest) end(dir string) {
	m.t.Helper()
	for _, args := range [][]string{{"umount", dir}, {"umount", "--kept"}} {
		if out, err := m.cached(args...); err != nil {
			m.t.Errorf("%q: %v\n%s", args, err, out)
		}
	}
	if left, err := os.ReadDir(m.state); err != nil || len(left) > 0 {
		m.t.Errorf("left: %v, %v", left, err)
	}
	if table, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(table), dir) {
		m.t.Errorf("still mounted: %v", err)
	}
}

func TestMountByTheCommand(t *testing.T) { bothWays(t, testMountByTheCommand) }

func testMountByTheCommand(m *mountTest) {
	t := m.t
	dir, pid := m.mount()
	m.check(dir)
	if out, err := m.cached("mount"); err != nil || !strings.Contains(out, dir) || !strings.Contains(out, fmt.Sprint(pid)) {
		t.Errorf("list: %v\n%s", err, out)
	}
	m.end(dir)
	checkBooks(t, m.daemon.client)
}

// A mount whose daemon has a socket only, which goes away under it for a while.
func TestMountOverASocket(t *testing.T) { bothWays(t, testMountOverASocket) }

func testMountOverASocket(m *mountTest) {
	t := m.t
	socket := filepath.Join(t.TempDir(), "run", "cached.sock")
	data := t.TempDir()
	serve := func() *testtool.Process {
		admin, err := freeAddress()
		if err != nil {
			t.Fatal(err)
		}
		return testtool.Start(t, exec.Command("cached", "serve", "--listen", "", "--socket", socket, "--admin", admin, "--data-dir", data, "--origin", m.origin, "--l2-size", "64MiB", "--l2-min-free", "0"), func(context.Context) bool {
			_, err := os.Stat(socket)
			return err == nil
		})
	}
	daemon := serve()
	dir, _ := m.mount("--server", "unix://"+socket)
	daemon.Kill() // and leaves its socket
	serve()
	m.check(dir)
	m.end(dir)
	if l, err := m.daemon.client.Ledger(t.Context()); err != nil || l.GetRequests().GetBlocks() != 0 {
		t.Errorf("the other daemon served %v, %v", l.GetRequests(), err)
	}
}

// The daemon may be restarted, and away for long, under a program that reads.
func TestMountOutlivesTheDaemon(t *testing.T) { bothWays(t, testMountOutlivesTheDaemon) }

func testMountOutlivesTheDaemon(m *mountTest) {
	t := m.t
	dir, _ := m.mount("--grace", "300ms", "--window", "1MiB", "--origin", m.origin)
	addr := strings.TrimPrefix(m.daemon.client.URL(), "http://")
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for i := range 3 {
		readers.Go(func() {
			for round := 0; ; round++ {
				select {
				case <-stop:
					return
				default:
				}
				k := (i*13 + round) % 40
				name := fmt.Sprintf("d%d/f%d", k%4, k)
				want, err := os.ReadFile(filepath.Join(m.tree, name))
				if err != nil {
					t.Error(err)
					return
				}
				// The kernel forgets the pages, so that the next read comes to the daemon's door.
				out, err := exec.Command("dd", "iflag=nocache", "bs=1M", "status=none", "if="+filepath.Join(dir, name)).Output()
				if err != nil || !bytes.Equal(out, want) {
					t.Errorf("%s: %d of %d bytes: %v", name, len(out), len(want), err)
					return
				}
			}
		})
	}
	if err := m.daemon.stop(); err != nil {
		t.Error(err)
	}
	again := startDaemonAt(t, addr, m.args...)
	again.Kill()
	forgetPages(t)
	m.check(dir) // from the origin
	if log := m.log(); !strings.Contains(log, "the daemon is away") {
		t.Errorf("nobody noticed:\n%s", log)
	}
	startDaemonAt(t, addr, m.args...)
	m.check(dir)
	close(stop)
	readers.Wait()
	m.end(dir)
}

func TestMountWhoseProcessIsKilled(t *testing.T) { bothWays(t, testMountWhoseProcessIsKilled) }

func testMountWhoseProcessIsKilled(m *mountTest) {
	t := m.t
	dir, pid := m.mount()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitForEnd(t, pid)
	if _, err := exec.Command("cat", filepath.Join(dir, "d1/f1")).Output(); err == nil {
		t.Error("read from a mount whose process is dead: it was read before?")
	}
	m.end(dir)
	dir, _ = m.mount() // and again
	m.check(dir)
}

// SIGTERM takes the mount down, or says who holds it.
func TestMountToldToEnd(t *testing.T) { bothWays(t, testMountToldToEnd) }

func testMountToldToEnd(m *mountTest) {
	t := m.t
	dir, pid := m.mount()
	sleep := exec.Command("sleep", "1000")
	sleep.Dir = filepath.Join(dir, "d1")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	if out, err := m.cached("umount", dir); err == nil || !strings.Contains(out, fmt.Sprintf("sleep (process %d", sleep.Process.Pid)) {
		t.Errorf("umount of a busy mount: %v\n%s", err, out)
	}
	_ = syscall.Kill(pid, syscall.SIGTERM)
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(m.log(), "the mount stays"); {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not say who holds the mount:\n%s", m.log())
		}
		<-time.After(10 * time.Millisecond)
	}
	m.check(dir)
	_ = sleep.Process.Kill()
	_ = sleep.Wait()
	_ = syscall.Kill(pid, syscall.SIGTERM)
	waitForEnd(t, pid)
	if left, err := os.ReadDir(m.state); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// A block that is nowhere is an I/O error, and the log names it.
func TestMountOfAnImageWithoutABlock(t *testing.T) {
	m := startMountTest(t)
	dir, _ := m.mount("--deadline", "2s")
	if err := os.RemoveAll(strings.TrimPrefix(m.origin, "file://") + "/blocks"); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cat", filepath.Join(dir, "d3/f39")).CombinedOutput(); err == nil || !strings.Contains(string(out), "Input/output error") {
		t.Errorf("read: %v\n%.300s", err, out)
	}
	if log := m.log(); !strings.Contains(log, "a block cannot be had") || !strings.Contains(log, "blake3:") {
		t.Errorf("the log:\n%s", log)
	}
}

// The mount keeps what it showed when the name moves on.
func TestMountWhoseNameMoves(t *testing.T) {
	m := startMountTest(t)
	dir, _ := m.mount()
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "other"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cached", "publish", "dir:"+other, "--name", "tree", "--origin", m.origin).CombinedOutput(); err != nil {
		t.Fatalf("publish: %v\n%s", err, out)
	}
	m.check(dir)
}

func TestMountMistakes(t *testing.T) {
	m := startMountTest(t)
	publishFile(t, strings.TrimPrefix(m.origin, "file://"), "bytes", 50_000)
	dir := t.TempDir()
	for want, args := range map[string][]string{
		`image "nothing"`:                    {"nothing", dir},
		"mkdir -p " + dir + "/missing":       {"tree", dir + "/missing"},
		"is no file system":                  {"bytes", dir},
		"see cached mount --help":            {"tree"},
		"want auto, erofs":                   {"tree", dir, "--as", "xfs"},
		"goes with --runtime-bundle":         {"tree", dir, "--", "sh"},
		"--host-network goes with":           {"tree", dir, "--host-network"},
		"published from a directory":         {"tree", "--runtime-bundle", filepath.Join(dir, "bundle")},
		"no daemon answers":                  {"tree", dir, "--server", "http://127.0.0.1:1"},
		`image name "a b"`:                   {"a b", dir},
		"must be positive":                   {"tree", dir, "--deadline", "0s"},
		"cannot be both the mount point":     {"tree", dir, "--overlay", dir},
		`origin: URL 1 of 1: has the scheme`: {"tree", dir, "--origin", "nonsense:"},
	} {
		out, err := m.cached(append([]string{"mount"}, args...)...)
		if err == nil || !strings.Contains(out, want) || strings.Count(strings.TrimSpace(out), "\n") > 0 {
			t.Errorf("mount %q: %v\n%s\nwant one line with %q", args, err, out, want)
		}
	}
	m.keep = "5"
	if out, err := m.cached("mount", "tree", dir); err == nil || !strings.Contains(out, `environment CACHED_KEEP: "5", want a duration`) {
		t.Errorf("mount with CACHED_KEEP=5: %v\n%s", err, out)
	}
	if left, err := os.ReadDir(m.state); err == nil && len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if out, err := m.cached("umount", dir); err == nil || !strings.Contains(out, "nothing of ours") {
		t.Errorf("umount of nothing: %v\n%s", err, out)
	}
}

// A container runs from a bundle, by runc.
func TestMountAsARuntimeBundle(t *testing.T) {
	needMounts(t)
	runc := testtool.Debian(t, "runc")
	m := startMountTest(t)
	layout := busyboxLayout(t, []string{"/bin/sh", "-c", "echo ready in $PWD as $(id -u) with $GREETING; cat /etc/motd"})
	if out, err := exec.Command("cached", "publish", "oci:"+layout, "--name", "box", "--origin", m.origin).CombinedOutput(); err != nil {
		t.Fatalf("publish: %v\n%s", err, out)
	}
	dir := filepath.Join(t.TempDir(), "box")
	if out, err := m.cached("mount", "box", "--runtime-bundle", dir); err != nil || !strings.Contains(out, "runc run") {
		t.Fatalf("mount: %v\n%s", err, out)
	}
	out, err := exec.Command(runc, "--root", t.TempDir(), "run", "--bundle", dir, "cached-test-box").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "ready in /srv as 0 with hello") {
		t.Errorf("runc: %v\n%s", err, out)
	}
	m.end(filepath.Join(dir, "rootfs"))
}

// With --host-network the container has the interfaces of whoever starts it.
func TestMountAsARuntimeBundleInTheHostsNetwork(t *testing.T) {
	needMounts(t)
	runc := testtool.Debian(t, "runc")
	m := startMountTest(t)
	layout := busyboxLayout(t, []string{"/bin/sh", "-c", "cat /proc/net/dev"})
	if out, err := exec.Command("cached", "publish", "oci:"+layout, "--name", "box", "--origin", m.origin).CombinedOutput(); err != nil {
		t.Fatalf("publish: %v\n%s", err, out)
	}
	interfaces := func(table []byte) (names []string) {
		for line := range strings.Lines(string(table)) {
			if name, _, ok := strings.Cut(line, ":"); ok {
				names = append(names, strings.TrimSpace(name))
			}
		}
		return names
	}
	host, err := os.ReadFile("/proc/self/net/dev")
	if err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[string][]string{"--host-network": interfaces(host), "--host-network=false": {"lo"}} {
		dir := filepath.Join(t.TempDir(), "box")
		if out, err := m.cached("mount", "box", "--runtime-bundle", dir, flag); err != nil {
			t.Fatalf("mount: %v\n%s", err, out)
		}
		out, err := exec.Command(runc, "--root", t.TempDir(), "run", "--bundle", dir, "cached-test-net").Output()
		if got := interfaces(out); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: the container has %v, %v; want %v", flag, got, err, want)
		}
		m.end(filepath.Join(dir, "rootfs"))
	}
}
