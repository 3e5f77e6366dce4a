package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/loadtest/zone"
)

const (
	insideEnv = "HOST_TEST_INSIDE" // set in the namespaces
	noProc    = 97                 // the shell's status where no /proc can be mounted
)

// outside says why the tests are not in namespaces of their own.
var outside error

func TestMain(m *testing.M) {
	if from := os.Getenv(loopbackEnv); from != "" {
		serveLoopback(from, os.Args[len(os.Args)-1])
		return
	}
	if os.Geteuid() == 0 && os.Getenv(insideEnv) == "" {
		code, err := inside()
		if err == nil {
			os.Exit(code)
		}
		outside = err
	}
	dir, err := os.MkdirTemp("", "cached-host-")
	if err != nil {
		panic(err)
	}
	built.Dir = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// inside runs this program in process and mount namespaces of its own. A shell
// is their first process, because that one has to wait for orphans.
func inside() (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	const script = `mount -t proc none /proc || exit 97; "$@"; s=$?; exit $s`
	cmd := exec.Command("/bin/sh", append([]string{"-c", script, "sh", self}, os.Args[1:]...)...)
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL,
	}
	runtime.LockOSThread() // the signal comes when the thread dies
	defer runtime.UnlockOSThread()
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() == noProc {
			return 0, fmt.Errorf("process and mount namespaces: %w", err)
		}
	}
	return cmd.ProcessState.ExitCode(), nil
}

var built zone.Builder

// needHost skips a test where no container can be started from a mounted image.
func needHost(t *testing.T) {
	t.Helper()
	if figure.Instrumented {
		t.Skip("runs other processes, which are not instrumented: nothing is found here that a plain build does not find")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount images and to start containers: run the test as root")
	}
	if outside != nil {
		t.Skipf("needs what this machine or sandbox does not allow: %v", outside)
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skipf("this system has no FUSE: %v", err)
	}
}

// full skips a measurement in `go test`, where TestHost makes a small one of it.
func full(t *testing.T) {
	t.Helper()
	if !figure.Full() {
		t.Skip("at full size, with CACHED_PROVE=1; its small version is a part of TestHost")
	}
}

// pick returns the first of two sizes for `make prove-host`, the second for `go test`.
func pick[T any](whole, quick T) T {
	if figure.Full() {
		return whole
	}
	return quick
}
