package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/mount"
)

// A mount of a kept image asks the daemon for nothing. The kernel may take pages back
// meanwhile, and does where DAMON pages out what it takes for idle, with all memory
// free: such a mount is made again.
func TestMountOfAKeptImageReadsNothing(t *testing.T) {
	m := startMountTest(t)
	first := m.keeping()
	m.check(first.Dir)
	if asked := m.asked(); first.Kept || asked == 0 {
		t.Errorf("the first mount: %+v, %d blocks", first, asked)
	}
	m.umount(first.Dir)
	for _, flags := range [][]string{nil, {"--overlay", filepath.Join(t.TempDir(), "upper")}, {"--as", "erofs"}} {
		const attempts = 5
		for n := 1; ; n++ {
			asked := m.mountKept(first, flags)
			if asked == 0 {
				break
			}
			if n == attempts {
				t.Errorf("%q: the daemon was asked for %d blocks, and for some in each of %d mounts", flags, asked, attempts)
				break
			}
		}
	}
	m.dropKept()
	waitForEnd(t, first.PID)
	m.nothing()
	checkBooks(t, m.daemon.client)
}

// Everything that was not read before comes as in any mount.
func TestMountOfAKeptImageReadsTheRest(t *testing.T) {
	m := startMountTest(t)
	first := m.keeping()
	m.logs(first.PID)
	m.umount(first.Dir)
	m.kept(1)
	m.logs(first.PID)
	next := m.keeping()
	m.logs(next.PID)
	m.check(next.Dir)
	if !next.Kept || m.asked() == 0 {
		t.Errorf("%+v, %d blocks", next, m.asked())
	}
	// Its process dies, and what it leaves is cleared away as that of any.
	_ = syscall.Kill(next.PID, syscall.SIGKILL)
	waitForEnd(t, next.PID)
	m.umount(next.Dir)
	m.nothing()
}

// Whatever ends a process that keeps an image, nothing is left.
func TestWhatEndsKeptImages(t *testing.T) {
	m := startMountTest(t)
	for how, end := range map[string]func(dir string, pid int){
		"time":          nil,
		"killed":        func(dir string, pid int) { m.umount(dir); m.kept(1); _ = syscall.Kill(pid, syscall.SIGKILL) },
		"terminated":    func(dir string, pid int) { m.umount(dir); m.kept(1); _ = syscall.Kill(pid, syscall.SIGTERM) },
		"while mounted": func(_ string, pid int) { _ = syscall.Kill(pid, syscall.SIGTERM) },
		"now":           func(dir string, _ int) { m.umount(dir, "--now") },
		"lazily": func(dir string, _ int) {
			if out, err := m.cached("umount", dir, "--lazy"); err != nil {
				t.Errorf("umount --lazy: %v\n%s", err, out)
			}
		},
		"all": func(dir string, _ int) {
			m.umount(dir)
			m.kept(1)
			if out, err := m.cached("umount", "--all"); err != nil {
				t.Errorf("umount --all: %v\n%s", err, out)
			}
		},
		"at once": func(dir string, _ int) { m.umount(dir); m.dropKept() },
		"after umount(8)": func(dir string, _ int) {
			if err := syscall.Unmount(dir, 0); err != nil {
				t.Fatal(err)
			}
			m.dropKept()
		},
		"while a file is open": func(dir string, _ int) {
			f, err := os.Open(filepath.Join(dir, "d1", "f1"))
			if err == nil {
				err = syscall.Unmount(dir, syscall.MNT_DETACH)
			}
			if err != nil {
				t.Fatal(err)
			}
			waited := make(chan struct{})
			go func() {
				defer close(waited)
				m.dropKept()
			}()
			eventually(t, "the record says that it is over", func() bool {
				list, err := mount.ListKept(m.state)
				return err == nil && len(list) == 1 && list[0].Over
			})
			if out, err := m.cached("mount", "--kept"); err != nil || !strings.Contains(out, "open files are closed") {
				t.Errorf("mount --kept: %v\n%s", err, out)
			}
			f.Close()
			<-waited
		},
	} {
		t.Run(how, func(t *testing.T) {
			m.t = t
			if end == nil {
				short := m.mountOf("tree", "--keep", "200ms")
				m.umount(short.Dir)
				waitForEnd(t, short.PID)
				m.nothing()
				return
			}
			s := m.keeping()
			m.check(s.Dir)
			if how == "while mounted" || how == "now" { // also of one that was kept before
				m.umount(s.Dir)
				m.kept(1)
				s = m.keeping()
			}
			end(s.Dir, s.PID)
			waitForEnd(t, s.PID)
			m.kept(0) // clears the record of a killed one away
			m.nothing()
		})
	}
}

// A mount that is in use loses nothing by an umount that would keep nothing of it.
func TestABusyMountIsKeptOneDay(t *testing.T) {
	m := startMountTest(t)
	s := m.keeping()
	f, err := os.Open(filepath.Join(s.Dir, "d1", "f1"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, args := range [][]string{{"umount", s.Dir, "--now"}, {"umount", "--all"}} {
		if out, err := m.cached(args...); err == nil || !strings.Contains(out, "is in use by") {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
	}
	f.Close()
	m.umount(s.Dir)
	if pids := m.kept(1); pids[0] != s.PID {
		t.Errorf("kept by %v, want %d", pids, s.PID)
	}
}

func TestKeptImagesAreBounded(t *testing.T) {
	m := startMountTest(t)
	var all []mounted
	for range maxKept + 2 {
		all = append(all, m.keeping())
	}
	for _, one := range all {
		if out, err := m.cached("umount", one.Dir); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
		eventually(t, "it is kept", func() bool {
			list, err := mount.ListKept(m.state)
			return err == nil && len(list) > 0 && list[0].PID == one.PID
		})
	}
	for _, one := range all[:2] {
		waitForEnd(t, one.PID)
	}
	m.kept(maxKept)
}

// An umount waits for nobody but the users of the mount.
func TestUmountWhileTheDaemonHangs(t *testing.T) {
	m := startMountTest(t)
	s := m.keeping()
	daemon := m.daemon.cmd.Process
	if err := daemon.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	m.umount(s.Dir)
	pids := m.kept(1)
	if err := daemon.Signal(syscall.SIGCONT); err != nil || pids[0] != s.PID {
		t.Errorf("kept by %v, %v", pids, err)
	}
}

// A name that has moved is mounted anew; the id still names what is kept.
func TestMountOfAKeptImageWhoseNameMoves(t *testing.T) {
	m := startMountTest(t)
	first := m.keeping()
	m.umount(first.Dir)
	m.kept(1)
	was := m.tree
	m.tree = t.TempDir()
	if err := os.WriteFile(filepath.Join(m.tree, "other"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cached", "publish", "dir:"+m.tree, "--name", "tree", "--origin", m.origin).CombinedOutput(); err != nil {
		t.Fatalf("publish: %v\n%s", err, out)
	}
	eventually(t, "the daemon has heard of the new version", func() bool {
		resp, err := m.daemon.client.GetImage(t.Context(), "tree")
		return err == nil && resp.GetManifestId() != first.Manifest
	})
	next := m.keeping()
	m.check(next.Dir)
	if next.Kept || next.PID == first.PID || next.Manifest == first.Manifest {
		t.Errorf("%+v after %+v", next, first)
	}
	m.tree = was
	old := m.mountOf(first.Manifest, "--keep", "1m")
	m.check(old.Dir)
	if !old.Kept || old.PID != first.PID {
		t.Errorf("%+v after %+v", old, first)
	}
}

// What one user's process keeps is not for a process with other rights.
func TestKeptImagesAreForTheSameStanding(t *testing.T) {
	m := startMountTest(t)
	first := m.keeping()
	m.umount(first.Dir)
	m.kept(1)
	for how, attr := range map[string]*syscall.SysProcAttr{
		"another group":           {Credential: &syscall.Credential{Groups: []uint32{4711}}},
		"another mount namespace": {Unshareflags: syscall.CLONE_NEWNS},
	} {
		cmd := exec.Command("cached", "mount", "tree", t.TempDir(), "--state-dir", m.state, "--json", "--keep", "1m", "--server", m.daemon.client.URL())
		cmd.SysProcAttr = attr
		var said mounted
		out, err := cmd.Output()
		if err != nil || json.Unmarshal(out, &said) != nil || said.Kept || said.PID == first.PID {
			t.Errorf("%s: %+v, %v", how, said, err)
		}
		endProcess(t, said.PID)
	}
	for _, flags := range [][]string{{"--origin", m.origin}, {"--keep", "0"}, {"--as", "loop"}, {"--as", "fuse"}} {
		out, err := m.cached(append([]string{"mount", "tree", t.TempDir(), "--json", "--keep", "1m"}, flags...)...)
		var said mounted
		if err != nil || json.Unmarshal([]byte(out), &said) != nil || said.Kept || said.PID == first.PID {
			t.Errorf("%q: %+v, %v", flags, said, err)
		}
	}
	m.kept(1)
}

// With tenants, what one of them has read is only for those who may read it now.
func TestKeptImagesAndTenants(t *testing.T) {
	needMounts(t)
	g := startGuarded(t, plainText)
	dir := t.TempDir()
	m := &mountTest{t: t, tree: filepath.Join(dir, "tree"), state: filepath.Join(dir, "state")}
	if err := errors.Join(os.Mkdir(m.tree, 0o755), os.WriteFile(filepath.Join(m.tree, "a"), make([]byte, 300_000), 0o644)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cached", "publish", "dir:"+m.tree, "--name", "shop-tree", "--origin", "file://"+g.origin).CombinedOutput(); err != nil {
		t.Fatalf("publish: %v\n%s", err, out)
	}
	doc := tenantsDoc(twoTenants + `  - {name: till, tokens: ["DIGEST(till)"], images: ["shop-*"]}` + "\n")
	if err := os.WriteFile(g.tenants, []byte(doc), 0o600); err != nil {
		t.Fatal(err)
	}
	g.clock.add(3 * time.Second)
	tokens := map[string]string{}
	for _, who := range []string{"shop", "bank", "till"} {
		tokens[who] = filepath.Join(dir, who)
		if err := os.WriteFile(tokens[who], []byte(who), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m.daemon = &demoDaemon{client: g.client(t, api.ClientOptions{Token: "ops"})}
	first := m.mountOf("shop-tree", "--keep", "1m", "--token-file", tokens["shop"])
	m.check(first.Dir)
	m.umount(first.Dir)
	m.kept(1)
	try := func(token string) (string, mounted) {
		out, err := m.cached("mount", "shop-tree", t.TempDir(), "--json", "--keep", "1m", "--token-file", token)
		var said mounted
		if err == nil {
			err = json.Unmarshal([]byte(out), &said)
		}
		if err != nil {
			return out, mounted{}
		}
		return "", said
	}
	if out, said := try(tokens["bank"]); said.PID != 0 || !strings.Contains(out, "shop-tree") {
		t.Errorf("another tenant: %+v\n%s", said, out)
	}
	// The same file with another tenant's token: the process that keeps the image asks
	// as whoever it is now.
	if err := os.WriteFile(tokens["shop"], []byte("bank"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, said := try(tokens["shop"]); said.PID != 0 || !strings.Contains(out, "shop-tree") {
		t.Errorf("another tenant by the same file: %+v\n%s", said, out)
	}
	// Nor is it for one that may read it: whoever has files of the mount before open would
	// read as that one.
	if err := os.WriteFile(tokens["shop"], []byte("till"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, said := try(tokens["shop"]); said.PID == 0 || said.PID == first.PID || said.Kept {
		t.Errorf("another tenant that may, by the same file: %+v\n%s", said, out)
	}
	m.kept(1)
	if out, said := try(tokens["till"]); said.PID == 0 || said.PID == first.PID || said.Kept {
		t.Errorf("another tenant that may: %+v\n%s", said, out)
	}
	if err := os.WriteFile(tokens["shop"], []byte("shop"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, said := try(tokens["shop"])
	if said.PID != first.PID || !said.Kept {
		t.Fatalf("the same tenant: %+v\n%s", said, out)
	}
	m.check(said.Dir)
}

// A start that finds its pages read is not evidence that it needs nothing.
func TestMountOfAKeptImageTeachesNothing(t *testing.T) {
	m := startMountTest(t)
	starts := func() uint32 {
		out, _ := traceCommand(t, strings.TrimPrefix(m.origin, "file://"), "ls", "tree", "--json")
		var rows []tracedRow
		if json.Unmarshal([]byte(out), &rows) != nil || len(rows) == 0 {
			return 0
		}
		return rows[0].Starts
	}
	for _, turn := range []struct {
		flags []string
		kept  bool
		want  uint32
	}{
		{[]string{"--keep", "1m"}, false, 1},
		{[]string{"--keep", "1m"}, true, 1},
		{[]string{"--keep", "0"}, false, 2}, // behind the one before, had that been recorded
	} {
		s := m.mountOf("tree", append(turn.flags, "--workload", "w")...)
		if s.Kept != turn.kept {
			t.Errorf("%+v, want %v", s, turn.kept)
		}
		m.check(s.Dir)
		if turn.kept { // and a part that was not read before would say nothing of the rest
			forgetPages(t)
			m.check(s.Dir)
		}
		m.umount(s.Dir)
		eventually(t, "the start is recorded", func() bool { return starts() >= turn.want })
		if got := starts(); got != turn.want {
			t.Errorf("%d starts are recorded, want %d", got, turn.want)
		}
		if turn.want == 1 {
			m.kept(1)
		}
	}
}
