package sandbox

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zonecache/cached/internal/testtool"
	"github.com/zonecache/cached/internal/testtool/pin"
)

//go:embed enter.sh
var script string

// insideEnv tells the test that it is inside.
const insideEnv = "INSIDE_SANDBOX"

// notAllowed is the script's status when the machine could not be made.
const notAllowed = 97

// A Machine says what a test is to find.
type Machine struct {
	Files     map[string]string // files and directories of this machine, by where they are seen
	Addresses []string          // "IP/bits" of the loopback interface, beside 127.0.0.1
}

// Inside reports whether this process is in a sandbox.
func Inside() bool { return os.Getenv(insideEnv) != "" }

// Enter reports whether the test runs inside of a sandbox. Outside it has the test run
// there, fails or skips as that did, and returns false.
func Enter(t *testing.T, m Machine) bool {
	t.Helper()
	if os.Getenv(insideEnv) == t.Name() {
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make a root file system of its own: run the test as root")
	}
	testtool.Debian(t, "unshare")
	testtool.Debian(t, "ip")
	cmd := command(t, m)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	// The kernel kills the sandbox with the thread that started it.
	runtime.LockOSThread()
	err := cmd.Run()
	runtime.UnlockOSThread()
	pass(t, out.String(), err)
	return false
}

// pass makes the outcome inside that of the test.
func pass(t *testing.T, out string, err error) {
	t.Helper()
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "figure ") {
			fmt.Print(line)
		}
	}
	switch skip, fail := judge(t.Name(), out, err); {
	case fail != "":
		t.Fatalf("in the sandbox: %s:\n%s", fail, out)
	case skip != "":
		t.Skipf("%s:\n%s", skip, out)
	}
	t.Log(out)
}

// judge says why a test was skipped inside or has failed there.
func judge(name, out string, err error) (skip, fail string) {
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == notAllowed:
		return "needs namespaces and overlays, which this machine does not allow", ""
	case err != nil:
		return "", err.Error()
	case strings.Contains(out, "--- SKIP: "+name+" "):
		return "skipped in the sandbox", ""
	case !strings.Contains(out, "--- PASS: "+name+" "):
		return "", "no such test ran"
	}
	return "", ""
}

func command(t *testing.T, m Machine) *exec.Cmd {
	t.Helper()
	test, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root, err := pin.Root()
	if err != nil {
		t.Fatal(err)
	}
	binds := map[string]string{"/usr/bin/sandbox.test": test}
	for to, from := range m.Files {
		binds[to] = from
	}
	for _, dir := range goDirectories(t) {
		binds[dir] = dir
	}
	var lines []string
	for to, from := range binds {
		lines = append(lines, from+"\t"+to)
	}
	args := []string{
		"--mount", "--net", "--pid", "--fork", "--kill-child=SIGKILL", "bash", "-c", script, "sandbox",
		"/usr/bin/sandbox.test", "-test.v", "-test.count=1", "-test.run=" + pattern(t.Name()),
	}
	if deadline, ok := t.Deadline(); ok { // it is to say itself where it hangs
		args = append(args, "-test.timeout="+max(time.Until(deadline)-5*time.Second, time.Second).String())
	}
	cmd := exec.Command("unshare", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Env = append(os.Environ(), insideEnv+"="+t.Name(), "SANDBOX_ROOT="+t.TempDir(), "SANDBOX_REPO="+root,
		"SANDBOX_BINDS="+strings.Join(lines, "\n"), "SANDBOX_ADDRESSES="+strings.Join(m.Addresses, " "))
	return cmd
}

// pattern selects a test, and nothing else.
func pattern(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}

// goDirectories are what the go command reads and writes, which may lie where the sandbox
// has nothing: in /tmp, or on another file system than the root's.
func goDirectories(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT", "GOCACHE", "GOMODCACHE").Output()
	if err != nil {
		t.Fatalf("go env: %v", err)
	}
	dirs := strings.Fields(string(out))
	if tools := os.Getenv(pin.BinEnv); tools != "" {
		dirs = append(dirs, tools)
	}
	return dirs
}
