package mount

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// explainFUSE says what is missing where FUSE does not work.
func explainFUSE(err error, dir string) error {
	if _, statErr := os.Stat("/dev/fuse"); errors.Is(statErr, fs.ErrNotExist) {
		return fmt.Errorf("mount: this host has no /dev/fuse: load the kernel module fuse (modprobe fuse), or give the container the device: %w", err)
	}
	if openErr := unix.Access("/dev/fuse", unix.R_OK|unix.W_OK); openErr != nil {
		return fmt.Errorf("mount: /dev/fuse cannot be opened: %w", openErr)
	}
	if _, lookErr := exec.LookPath("fusermount3"); os.Geteuid() != 0 && lookErr != nil {
		return fmt.Errorf("mount: who is not root mounts through fusermount3, which is not here: install the package fuse3, or run as root: %w", err)
	}
	if errors.Is(err, syscall.EPERM) || strings.Contains(err.Error(), "not permitted") {
		return fmt.Errorf("mount: FUSE on %s: mounting is not allowed here (a container needs CAP_SYS_ADMIN): %w", dir, err)
	}
	return fmt.Errorf("mount: FUSE on %s: %w", dir, err)
}
