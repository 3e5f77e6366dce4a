package main

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/mount"
)

// keepFake makes the record of a process that keeps a manifest of image i and answers
// that the name has another by now. It returns how often it was asked.
func keepFake(t *testing.T, state, manifest, heirs string, since time.Time) (asked func() int) {
	t.Helper()
	home := filepath.Join(state, "kept-"+manifest)
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(home, "socket")})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(home, "kept.json"))
	if err == nil {
		err = json.NewEncoder(f).Encode(mount.KeptRecord{Holding: mount.Holding{Image: "i", Manifest: manifest, Since: since}, For: heirs})
	}
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	done, n := make(chan struct{}), 0
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			n++
			answers := json.NewEncoder(conn)
			if err := errors.Join(json.NewDecoder(conn).Decode(&takeRequest{}), answers.Encode(takeAnswer{}), answers.Encode(takeAnswer{Refused: "moved", Now: "new"}), conn.Close()); err != nil {
				t.Error(err)
			}
		}
	}()
	return func() int {
		l.Close()
		<-done
		f.Close()
		return n
	}
}

// Of processes that keep what a name had before, one is asked: it says what the name has
// now.
func TestANameThatHasMovedIsLookedUpOnce(t *testing.T) {
	c := &mountCommand{image: "i", as: "auto", keep: time.Minute, deadline: 10 * time.Second, server: &target{url: "http://127.0.0.1:1"}, state: t.TempDir()}
	heirs, err := c.audience("")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var asked []func() int
	for i, manifest := range []string{"old0", "old1", "new", "old2"} {
		asked = append(asked, keepFake(t, c.state, manifest, heirs, began.Add(-time.Duration(i)*time.Minute)))
	}
	if m, err := c.fromKept(); m != nil || err != nil {
		t.Errorf("mounted %+v, %v", m, err)
	}
	for i, want := range []int{1, 0, 1, 0} {
		if n := asked[i](); n != want {
			t.Errorf("process %d was asked %d times, want %d", i, n, want)
		}
	}
}

// A bundle that cannot be written costs nothing of what is kept.
func TestKeptImagesAndABundleThatFails(t *testing.T) {
	m := startMountTest(t)
	layout := busyboxLayout(t, []string{"/bin/sh"})
	if out, err := exec.Command("cached", "publish", "oci:"+layout, "--name", "box", "--origin", m.origin).CombinedOutput(); err != nil {
		t.Fatalf("publish: %v\n%s", err, out)
	}
	first := m.mountOf("box", "--keep", "1m")
	m.umount(first.Dir)
	m.kept(1)
	dir := filepath.Join(t.TempDir(), "bundle")
	taken := filepath.Join(dir, "config.json", "taken")
	if err := os.MkdirAll(taken, 0o755); err != nil {
		t.Fatal(err)
	}
	args := []string{"mount", "box", "--runtime-bundle", dir, "--json", "--keep", "1m"}
	if out, err := m.cached(args...); err == nil || !strings.Contains(out, "config.json") || strings.Count(strings.TrimSpace(out), "\n") > 0 {
		t.Errorf("mount: %v\n%s\nwant one line with what cannot be written", err, out)
	}
	if list, err := mount.List(m.state); err != nil || len(list) > 0 {
		t.Errorf("listed: %v, %v", list, err)
	}
	if pids := m.kept(1); pids[0] != first.PID {
		t.Errorf("kept by %v, want %d", pids, first.PID)
	}
	m.logs(first.PID)
	if err := os.RemoveAll(filepath.Dir(taken)); err != nil {
		t.Fatal(err)
	}
	var next mounted
	out, err := m.cached(args...)
	if err != nil || json.Unmarshal([]byte(out), &next) != nil || !next.Kept || next.PID != first.PID {
		t.Fatalf("mount: %+v, %v\n%s", next, err, out)
	}
	m.umount(next.Dir)
}
