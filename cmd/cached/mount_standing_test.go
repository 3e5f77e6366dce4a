package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/mount"
)

// askKept is a program that asks for what is kept to be mounted on dir, in the name of
// those whom it is kept for: it does not say who it is. It prints the answers.
func askKept(state, dir string) int {
	list, err := mount.ListKept(state)
	if err != nil || len(list) != 1 {
		fmt.Fprintf(os.Stderr, "kept: %v, %v\n", list, err)
		return 1
	}
	if os.Getenv("ASK_AS_NOBODY") != "" {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(65534), syscall.Setuid(65534)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	conn, err := list[0].Dial()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	request := takeRequest{For: list[0].For, Cwd: "/", Image: list[0].Image, Dir: dir, As: "auto", Grace: time.Second, Deadline: 10 * time.Second, Window: 1 << 20, Keep: time.Minute}
	// Who is refused may be so before his request is written, or read.
	_ = json.NewEncoder(conn).Encode(request)
	_, _ = io.Copy(os.Stdout, conn)
	return 0
}

// Who has another standing is refused, whatever the request says, also where the files
// of the state directory would let anybody in.
func TestAKeptImageIsNotForWhoLies(t *testing.T) {
	m := startMountTest(t)
	first := m.keeping()
	m.umount(first.Dir)
	m.kept(1)
	err := filepath.WalkDir(m.state, func(name string, _ os.DirEntry, err error) error {
		if err == nil {
			err = os.Chmod(name, 0o777)
		}
		return err
	})
	for dir := filepath.Dir(m.state); err == nil && dir != os.TempDir(); dir = filepath.Dir(dir) {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("ask-kept")
	if err != nil {
		t.Fatal(err)
	}
	ask := func(attr *syscall.SysProcAttr, args ...string) (answers []takeAnswer) {
		t.Helper()
		dir := t.TempDir()
		cmd := exec.Command(args[0], append(args[1:], m.state, dir)...)
		cmd.SysProcAttr, cmd.Stderr = attr, t.Output()
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
		for d := json.NewDecoder(strings.NewReader(string(out))); ; {
			var a takeAnswer
			if err := d.Decode(&a); err != nil {
				return answers
			}
			answers = append(answers, a)
		}
	}
	copied := filepath.Join(t.TempDir(), "ask-kept")
	if out, err := exec.Command("cp", "-L", program, copied).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
	for how, c := range map[string]struct {
		attr *syscall.SysProcAttr
		args []string
	}{
		"another user":      {nil, []string{"env", "ASK_AS_NOBODY=1", program}},
		"another group":     {&syscall.SysProcAttr{Credential: &syscall.Credential{Groups: []uint32{4711}}}, []string{program}},
		"fewer rights":      {nil, []string{"setpriv", "--bounding-set=-sys_time", program}},
		"no new privileges": {nil, []string{"setpriv", "--no-new-privs", program}},
		"another umask":     {nil, []string{"sh", "-c", `umask 0077; exec "$0" "$@"`, program}},
		"another network":   {&syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET}, []string{program}},
		"another root":      {&syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}, []string{program}},
		"another processes": {nil, []string{"unshare", "--pid", "--fork", program}},
		"another program":   {nil, []string{copied}},
	} {
		if got := ask(c.attr, c.args...); len(got) != 1 || got[0].Refused == "" || got[0].Mounted != nil {
			t.Errorf("%s: %+v", how, got)
		}
	}
	if list, err := mount.List(m.state); err != nil || len(list) > 0 {
		t.Errorf("listed: %v, %v", list, err)
	}
	m.kept(1)
	// It is for none of these reasons that whoever is as the process itself gets it.
	got := ask(nil, program)
	if len(got) != 2 || got[1].Mounted == nil || got[1].Mounted.PID != first.PID {
		t.Fatalf("the same standing: %+v", got)
	}
	m.umount(got[1].Mounted.Dir)
}

// Whoever has the number of a process that has asked is not that process.
func TestTheStandingOfAProcessThatHasEnded(t *testing.T) {
	const last = "/proc/sys/kernel/ns_last_pid"
	if _, err := os.Stat(last); err != nil || os.Geteuid() != 0 {
		t.Skipf("numbers of processes cannot be chosen: %v", err)
	}
	name := filepath.Join(t.TempDir(), "socket")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: name})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, asker := askOnce(t, l, name)
	defer conn.Close()
	if _, err := unix.GetsockoptInt(descriptor(t, conn), unix.SOL_SOCKET, unix.SO_PEERPIDFD); err == unix.ENOPROTOOPT {
		t.Skip("this kernel does not say whether a process that has asked is there")
	}
	for range 100 { // others start processes meanwhile
		if err := os.WriteFile(last, []byte(strconv.Itoa(asker-1)), 0); err != nil {
			t.Skipf("numbers of processes cannot be chosen: %v", err)
		}
		cmd := exec.Command("sleep", "1000")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if cmd.Process.Pid == asker {
			pid, _, err := standingOfPeer(conn)
			if err == nil || pid != asker {
				t.Errorf("another process %d was taken for it: %v", pid, err)
			}
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if cmd.Process.Pid == asker {
			return
		}
	}
	t.Skip("the number is never free")
}

// askOnce returns a connection of a process that has ended since.
func askOnce(t *testing.T, l *net.UnixListener, name string) (*net.UnixConn, int) {
	t.Helper()
	cmd := exec.Command("connect-once", name)
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	conn, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	return conn, cmd.Process.Pid
}

func descriptor(t *testing.T, conn *net.UnixConn) (n int) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { n = int(fd) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}
