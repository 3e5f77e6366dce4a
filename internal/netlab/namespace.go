package netlab

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// A namespace is a network of its own. It has no name: it lasts as long as the
// file is open or a process is in it.
type namespace struct{ file *os.File }

// own is the namespace of the calling thread.
const own = "/proc/thread-self/ns/net"

// newNamespace makes a network that has a loopback interface only, which is down.
func newNamespace() (*namespace, error) {
	var ns *namespace
	err := elsewhere(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		f, err := os.Open(own)
		ns = &namespace{f}
		return err
	})
	return ns, err
}

// do calls f on a thread that is in the namespace: sockets it opens and
// processes it starts, on its own goroutine, belong there.
func (ns *namespace) do(f func() error) error {
	return elsewhere(func() error {
		if err := unix.Setns(int(ns.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("setns: %w", err)
		}
		return f()
	})
}

// elsewhere calls f, which may change the thread's namespace, and brings the
// thread home after it, also when f panics or ends the goroutine.
func elsewhere(f func() error) (err error) {
	runtime.LockOSThread()
	home, err := os.Open(own)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() {
		back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET)
		home.Close()
		if back != nil {
			// The goroutine stays locked, so that the thread ends with it.
			err = errors.Join(err, fmt.Errorf("setns: the way back: %w", back))
			return
		}
		runtime.UnlockOSThread()
	}()
	return f()
}

// path names the namespace to other programs while this process lives.
func (ns *namespace) path() string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.file.Fd())
}

func (ns *namespace) close() error { return ns.file.Close() }
