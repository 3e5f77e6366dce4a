package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecache/cached/mount"
)

// After umount --lazy the place is free, and what is left for those who use it is listed
// as that until the last of them has gone, whatever else is taken down.
func TestLazyUmountFreesThePlace(t *testing.T) { bothWays(t, testLazyUmountFreesThePlace) }

func testLazyUmountFreesThePlace(m *mountTest) {
	t := m.t
	for _, kind := range []mount.Kind{mount.Auto, mount.Loop, mount.Tree} {
		dir, pid := m.mount("--as", string(kind))
		f, err := os.Open(filepath.Join(dir, "d1", "f1"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if out, err := m.cached("umount", dir, "--lazy"); err != nil || !strings.Contains(out, "is free") {
			t.Errorf("%s: umount --lazy: %v\n%s", kind, err, out)
		}
		said := fmt.Sprintf("process %d ends when its open files are closed", pid)
		for _, args := range [][]string{{"mount"}, {"mount", "--kept"}, {"umount", "--kept"}} {
			want := fmt.Sprint(pid)
			if args[0] == "umount" {
				want = said
			}
			if out, err := m.cached(args...); err != nil || !strings.Contains(out, detached) || !strings.Contains(out, want) {
				t.Errorf("%s: %q: %v\n%s", kind, args, err, out)
			}
		}
		if out, err := m.cached("mount", "tree", dir, "--keep", "0"); err != nil {
			t.Fatalf("%s: the next mount: %v\n%s", kind, err, out)
		}
		m.check(dir)
		out, err := m.cached("mount", "--json")
		var list []listedMount
		if err != nil || json.Unmarshal([]byte(out), &list) != nil || len(list) != 2 || list[0].Detached || !list[1].Detached || list[1].PID != pid || list[1].Dir != dir {
			t.Errorf("%s: list: %v\n%s", kind, err, out)
		}
		if out, err := m.cached("umount", "--all"); err != nil || !strings.Contains(out, said) {
			t.Errorf("%s: umount --all: %v\n%s", kind, err, out)
		}
		want, err := os.ReadFile(filepath.Join(m.tree, "d1", "f1"))
		got := make([]byte, len(want))
		if _, readErr := f.ReadAt(got, 0); err != nil || readErr != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: the open file: %v, %v", kind, err, readErr)
		}
		f.Close()
		waitForEnd(t, pid)
		m.nothing()
	}
}

// The process of a mount has nothing of whoever mounted but what it was given: with a
// lock of a script it would keep the next one out.
func TestTheProcessOfAMountHoldsNoDescriptorsOfOthers(t *testing.T) {
	m := startMountTest(t)
	mine, err := os.Create(filepath.Join(t.TempDir(), "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer mine.Close()
	dir := t.TempDir()
	cmd := exec.Command("cached", "mount", "--state-dir", m.state, "--server", m.daemon.client.URL(), "tree", dir, "--keep", "0", "--json")
	cmd.ExtraFiles = []*os.File{mine, mine}
	out, err := cmd.Output()
	var said mounted
	if err != nil || json.Unmarshal(out, &said) != nil {
		t.Fatalf("mount: %v\n%s", err, out)
	}
	defer m.end(dir)
	open, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", said.PID))
	if err != nil || len(open) == 0 {
		t.Fatalf("%v, %v", open, err)
	}
	for _, fd := range open {
		if to, err := os.Readlink(fd); err == nil && to == mine.Name() {
			t.Errorf("%s is %s", fd, to)
		}
	}
}

// What is left of a mount for those who use it takes its record away when it ends, also
// where the state directory was given by a relative name.
func TestLazyUmountWithARelativeStateDirectory(t *testing.T) {
	m := startMountTest(t)
	here, err := os.Getwd()
	if err == nil {
		m.state, err = filepath.Rel(here, m.state)
	}
	if err != nil {
		t.Fatal(err)
	}
	dir, pid := m.mount()
	f, err := os.Open(filepath.Join(dir, "d1", "f1"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if out, err := m.cached("umount", dir, "--lazy"); err != nil || !strings.Contains(out, "is free") {
		t.Errorf("umount --lazy: %v\n%s", err, out)
	}
	f.Close()
	waitForEnd(t, pid)
	m.nothing()
}

// A process of an earlier version keeps the place, and who unmounts lazily is told so.
func TestLazyUmountOfAnEarlierVersion(t *testing.T) {
	m := startMountTest(t)
	dir, pid := m.mount()
	records, err := filepath.Glob(filepath.Join(m.state, "*", "mount.json"))
	if err != nil || len(records) != 1 {
		t.Fatalf("%v, %v", records, err)
	}
	doc, err := os.ReadFile(records[0])
	if err == nil {
		err = os.WriteFile(records[0], bytes.Replace(doc, []byte(`"leaves": true`), []byte(`"turn": 0`), 1), 0o600)
	}
	f, openErr := os.Open(filepath.Join(dir, "d1", "f1"))
	if err != nil || openErr != nil {
		t.Fatal(err, openErr)
	}
	defer f.Close()
	out, err := m.cached("umount", dir, "--lazy")
	if want := fmt.Sprintf("process %d, of an earlier version", pid); err != nil || strings.Contains(out, "is free;") || !strings.Contains(out, want) {
		t.Errorf("umount --lazy: %v\n%s", err, out)
	}
	f.Close()
	waitForEnd(t, pid)
	m.nothing()
}
