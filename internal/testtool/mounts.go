package testtool

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

const ownMountsEnv = "TEST_OWN_MOUNTS"

// OwnMounts runs this test program again, in a mount namespace of its own, and returns
// its exit code. Namespaces that other tests make have a copy of all that is mounted when
// they are made, and what is mounted somewhere does not end. done is false inside, and
// for who is not root, who mounts nothing: then the caller goes on.
func OwnMounts() (code int, done bool) {
	if os.Geteuid() != 0 || os.Getenv(ownMountsEnv) != "" {
		return 0, false
	}
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2, true
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), ownMountsEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // the signal comes when the thread dies
	defer runtime.UnlockOSThread()
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, "a mount namespace of its own:", err)
		return 2, true
	}
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code, true
	}
	return 2, true // by a signal
}
