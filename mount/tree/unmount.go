package tree

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// ErrBusy: a process has a file open, runs a program or has its working directory
// in the file system, or something is mounted in it.
var ErrBusy = errors.New("in use")

// Unmount unmounts the file system and returns when all requests are answered. An
// error that matches ErrBusy leaves it mounted and served. Unmounting what
// somebody has unmounted already is no error.
func (s *Server) Unmount() error {
	select {
	case <-s.ended:
		return nil
	default:
	}
	unmount := unmountByHelper
	if os.Geteuid() == 0 {
		unmount = unmountDirectly
	}
	if err := unmount(s.dir); err != nil {
		return fmt.Errorf("tree: unmount %s: %w", s.dir, err)
	}
	s.Wait()
	return nil
}

func unmountDirectly(dir string) error {
	err := unix.Unmount(dir, unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("%w: a process has a file open or its working directory in it, or something is mounted in it (try fuser -vm %s)", ErrBusy, dir)
	}
	return err
}

func unmountByHelper(dir string) error {
	bin, err := fusermount()
	if err != nil {
		return err
	}
	out, err := exec.Command(bin, "-u", dir).CombinedOutput()
	out = bytes.TrimSpace(out)
	switch {
	case err == nil:
		return nil
	case bytes.Contains(out, []byte("busy")):
		return fmt.Errorf("%w: %s", ErrBusy, out)
	}
	return fmt.Errorf("%w: %s", err, out)
}

// fusermount returns the program that mounts for users.
func fusermount() (string, error) {
	if bin, err := exec.LookPath("fusermount3"); err == nil {
		return bin, nil
	}
	return exec.LookPath("fusermount")
}
