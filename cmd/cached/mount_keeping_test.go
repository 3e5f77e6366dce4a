package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/zonecache/cached/mount"
)

// keeping mounts the tree for a minute longer than it is mounted, on a new directory.
func (m *mountTest) keeping(flags ...string) mounted {
	m.t.Helper()
	return m.mountOf("tree", append([]string{"--keep", "1m"}, flags...)...)
}

func (m *mountTest) mountOf(image string, flags ...string) (said mounted) {
	m.t.Helper()
	m.t.Cleanup(func() {
		if out, err := m.cached("umount", "--all"); err != nil {
			m.t.Errorf("umount --all: %v\n%s", err, out)
		}
	})
	out, err := m.cached(append([]string{"mount", image, m.t.TempDir(), "--json"}, flags...)...)
	if err != nil || json.Unmarshal([]byte(out), &said) != nil {
		m.t.Fatalf("mount: %v\n%s\n%s", err, out, m.log())
	}
	if said.Kind != string(mount.EROFS) {
		m.t.Skipf("this kernel mounts no EROFS from a file: nothing can be kept of %s", said.Kind)
	}
	return said
}

// umount takes a mount down and checks that nobody sees anything of it.
func (m *mountTest) umount(dir string, flags ...string) {
	m.t.Helper()
	if out, err := m.cached(append([]string{"umount", dir}, flags...)...); err != nil {
		m.t.Fatalf("umount: %v\n%s\n%s", err, out, m.log())
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(table), dir) || strings.Contains(string(table), m.state) {
		m.t.Errorf("something is mounted: %v\n%s", err, table)
	}
	if list, err := mount.List(m.state); err != nil || len(list) > 0 {
		m.t.Errorf("listed: %v, %v", list, err)
	}
}

// kept returns the processes that keep an image, once there are as many.
func (m *mountTest) kept(want int) (pids []int) {
	m.t.Helper()
	eventually(m.t, fmt.Sprintf("%d processes keep an image", want), func() bool {
		out, err := m.cached("mount", "--kept", "--json")
		var list []mount.KeptRecord
		if err != nil || json.Unmarshal([]byte(out), &list) != nil {
			m.t.Fatalf("mount --kept: %v\n%s", err, out)
		}
		pids = nil
		for _, r := range list {
			pids = append(pids, r.PID)
		}
		return len(pids) == want
	})
	return pids
}

// dropKept ends what is kept; nothing is listed any more when that returns.
func (m *mountTest) dropKept() {
	m.t.Helper()
	if out, err := m.cached("umount", "--kept"); err != nil {
		m.t.Errorf("umount --kept: %v\n%s", err, out)
	}
	if list, err := mount.ListKept(m.state); err != nil || len(list) > 0 {
		m.t.Errorf("kept: %+v, %v", list, err)
	}
}

// logs checks that what a process logs can be read.
func (m *mountTest) logs(pid int) {
	m.t.Helper()
	for _, fd := range []string{"1", "2"} {
		name, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "fd", fd))
		if err == nil {
			_, err = os.Stat(name)
		}
		if err != nil || filepath.Base(name) != "log" {
			m.t.Errorf("process %d logs to %s: %v", pid, name, err)
		}
	}
}

// nothing checks that the state directory is empty.
func (m *mountTest) nothing() {
	m.t.Helper()
	if left, err := os.ReadDir(m.state); err != nil || len(left) > 0 {
		m.t.Errorf("left: %v, %v", left, err)
	}
}

func (m *mountTest) asked() uint64 {
	m.t.Helper()
	l, err := m.daemon.client.Ledger(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	return l.GetRequests().GetBlocks()
}

// mountKept mounts what is kept of first again, reads all of it, and returns how many
// blocks the daemon was asked for.
func (m *mountTest) mountKept(first mounted, flags []string) (asked uint64) {
	m.t.Helper()
	m.kept(1)
	before := m.asked()
	next := m.keeping(flags...)
	if !next.Kept || next.PID != first.PID || next.Manifest != first.Manifest || next.Bytes != first.Bytes {
		m.t.Errorf("%q: %+v after %+v", flags, next, first)
	}
	m.check(next.Dir)
	asked = m.asked() - before
	if len(flags) == 2 && flags[0] == "--overlay" {
		if err := os.WriteFile(filepath.Join(next.Dir, "new"), []byte("x"), 0o600); err != nil {
			m.t.Error(err)
		}
		defer func() {
			if err := os.RemoveAll(flags[1]); err != nil { // for the next mount of it
				m.t.Error(err)
			}
		}()
	}
	m.kept(0)
	if out, err := m.cached("mount"); err != nil || !strings.Contains(out, next.Dir) {
		m.t.Errorf("list: %v\n%s", err, out)
	}
	m.umount(next.Dir)
	return asked
}
