package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// device is what FUSE file systems are served through.
const device = "/dev/fuse"

// Device says why this user cannot serve a FUSE file system here, and what to do about
// it: fusermount3 opens the device as the user who calls it, and says why it could not on
// standard error only.
func Device() error { return openable(device) }

func openable(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	switch root := os.Geteuid() == 0; {
	case err == nil:
		return f.Close()
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("this host has no %s: load the module (modprobe fuse), or give the container the device: %w", name, err)
	case errors.Is(err, fs.ErrPermission) && root:
		return fmt.Errorf("this container may not open %s: give it the device: %w", name, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("this user may not open %s: chmod 666 %s as root, as most systems have it: %w", name, name, err)
	}
	return fmt.Errorf("%s cannot be opened (try modprobe fuse): %w", name, err)
}
