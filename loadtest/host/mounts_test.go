package host

import (
	"encoding/json"
	"errors"
	"fmt"
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
	Kept  bool   `json:"kept"` // with the pages of an earlier mount

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
	// Nothing is kept where a measurement does not ask for it: a mount is a new one.
	args := append([]string{"mount", image, "--json", "--state-dir", l.state(), "--origin", l.zone.Origin, "--keep", "0"}, flags...)
	m := mounted{node: node}
	began := time.Now()
	out, err := try(t, node, l.programs.Command(args...))
	m.took = time.Since(began)
	if err == nil {
		err = json.Unmarshal([]byte(out), &m)
	}
	if err == nil {
		l.mu.Lock()
		l.mounts[m.Dir] = m
		l.mu.Unlock()
	}
	return m, err
}

// mountBundle mounts an image with a writable layer, for runc.
func (l *lab) mountBundle(t *testing.T, node *zone.Node, image string, flags ...string) mounted {
	t.Helper()
	dir := l.room(t, "bundle")
	flags = append(flags, "--runtime-bundle", filepath.Join(dir, "b"), "--overlay", filepath.Join(dir, "upper"), "--host-network")
	m := l.mount(t, node, image, flags...)
	m.bundle = filepath.Join(dir, "b")
	return m
}

// umount takes a mount down as a user does, with further flags. The last user's
// namespace may be about to go: it is tried again for a while.
func (l *lab) umount(t *testing.T, m mounted, flags ...string) {
	t.Helper()
	args := append([]string{"umount", "--state-dir", l.state(), m.Dir}, flags...)
	await(t, "umount "+m.Dir, func() error {
		_, err := try(t, m.node, l.programs.Command(args...))
		return err
	})
	l.mu.Lock()
	delete(l.mounts, m.Dir)
	l.mu.Unlock()
}

// dropKept ends what is kept on the first host.
func (l *lab) dropKept(t *testing.T) {
	t.Helper()
	on(t, l.first, l.programs.Command("umount", "--state-dir", l.state(), "--kept"))
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

// A census is what there is of what can leak. Mounts and processes are this test's
// own, because it has namespaces of its own.
type census struct{ mounts, processes, descriptors int }

// takeCensus counts; the descriptors are those of a node's daemon.
func takeCensus(t *testing.T, node *zone.Node) census {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", node.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	c := census{mounts: strings.Count(string(table), "\n"), descriptors: len(open)}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err == nil {
			c.processes++
		}
	}
	return c
}

// settle waits until there is no more than before, or for half a minute, and
// returns what is more. Idle connections and processes that end take a while.
func settle(t *testing.T, node *zone.Node, before census) census {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-tick.C {
		now := takeCensus(t, node)
		more := census{max(0, now.mounts-before.mounts), max(0, now.processes-before.processes), max(0, now.descriptors-before.descriptors)}
		if more == (census{}) || time.Now().After(deadline) {
			return more
		}
	}
}
