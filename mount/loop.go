package mount

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// loopTries is how often a free loop device is looked for: others take them too.
const loopTries = 64

// mountLoop mounts EROFS from a loop device over the file. The device goes with
// the mount.
func mountLoop(path, dir string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	loop, err := attach(f)
	if err != nil {
		return fmt.Errorf("loop device: %w", err)
	}
	defer loop.Close() // from here on the mount holds it
	return unix.Mount(loop.Name(), dir, "erofs", unix.MS_RDONLY, "")
}

// attach makes a loop device of f, which frees itself when nobody uses it.
func attach(f *os.File) (*os.File, error) {
	ctl, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer ctl.Close()
	for range loopTries {
		n, err := unix.IoctlRetInt(int(ctl.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, err
		}
		loop, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		err = unix.IoctlLoopConfigure(int(loop.Fd()), &unix.LoopConfig{
			Fd: uint32(f.Fd()), Size: 4096,
			Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_READ_ONLY | unix.LO_FLAGS_AUTOCLEAR},
		})
		if err == nil {
			return loop, nil
		}
		loop.Close()
		if !errors.Is(err, unix.EBUSY) { // another process was first
			return nil, err
		}
	}
	return nil, unix.EBUSY
}
