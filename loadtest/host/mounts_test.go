package host

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zonecache/cached/loadtest/zone"
)

// A mounted is an image that `cached mount` has mounted.
type mounted struct {
	Dir   string `json:"dir"` // the tree
	PID   int    `json:"pid"`
	Kind  string `json:"kind"`
	Bytes int64  `json:"bytes"`

	node   *zone.Node
	bundle string        // with the config.json; "" if it has none
	took   time.Duration // from exec of the command to its end
}

// state is where records of mounts are.
func (l *lab) state() string { return filepath.Join(l.dir, "mounts") }

// mount mounts an image on a node's host with further flags, the directory or the
// bundle among them.
func (l *lab) mount(t *testing.T, node *zone.Node, image string, flags ...string) mounted {
	t.Helper()
	m, err := l.tryMount(t, node, image, flags...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (l *lab) tryMount(t *testing.T, node *zone.Node, image string, flags ...string) (mounted, error) {
	t.Helper()
	args := append([]string{"mount", image, "--json", "--state-dir", l.state(), "--origin", l.zone.Origin}, flags...)
	m := mounted{node: node}
	began := time.Now()
	out, err := try(t, node, l.programs.Command(args...))
	m.took = time.Since(began)
	if err == nil {
		err = json.Unmarshal([]byte(out), &m)
	}
	if err == nil {
		l.mounts[m.Dir] = m
	}
	return m, err
}

// mountBundle mounts an image with a writable layer, for runc.
func (l *lab) mountBundle(t *testing.T, node *zone.Node, image string) mounted {
	t.Helper()
	dir := l.room(t, "bundle")
	m := l.mount(t, node, image, "--runtime-bundle", filepath.Join(dir, "b"), "--overlay", filepath.Join(dir, "upper"), "--host-network")
	m.bundle = filepath.Join(dir, "b")
	return m
}

// umount takes a mount down as a user does. The last user's namespace may be about
// to go: it is tried again for a while.
func (l *lab) umount(t *testing.T, m mounted) {
	t.Helper()
	await(t, "umount "+m.Dir, func() error {
		_, err := try(t, m.node, l.programs.Command("umount", "--state-dir", l.state(), m.Dir))
		return err
	})
	delete(l.mounts, m.Dir)
}

// abandon is for a mount that a test left.
func (l *lab) abandon(t *testing.T, m mounted) {
	_, err := try(t, m.node, l.programs.Command("umount", "--lazy", "--state-dir", l.state(), m.Dir))
	if killed := syscall.Kill(m.PID, syscall.SIGKILL); killed != nil && !errors.Is(killed, syscall.ESRCH) {
		err = errors.Join(err, killed)
	}
	if err != nil && !t.Failed() {
		t.Error(err)
	}
}

// log returns what the mounts' processes have logged.
func (l *lab) log() string {
	var all strings.Builder
	names, _ := filepath.Glob(filepath.Join(l.state(), "*", "log"))
	for _, name := range names {
		text, _ := os.ReadFile(name)
		all.Write(text)
	}
	return all.String()
}

// mountTable returns how many mounts there are, and how many processes. They are
// this test's, because it has namespaces of its own.
func leftovers(t *testing.T) (mounts, processes int) {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err == nil {
			processes++
		}
	}
	return strings.Count(string(table), "\n"), processes
}
