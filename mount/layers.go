package mount

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

func imagePath(dir string) string { return filepath.Join(dir, imageFile) }

// mountOverlay makes dir what lower holds, with all changes in upper.
func mountOverlay(lower, upper, dir string) error {
	work := upper + ".work" // on the same file system, and no part of upper
	if err := os.MkdirAll(work, 0o700); err != nil {
		return fmt.Errorf("mount: overlay: %w", err)
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work)
	if err := unix.Mount("overlay", dir, "overlay", 0, options); err != nil {
		return fmt.Errorf("mount: overlay of %s on %s: %w: is its file system one that overlays can write to? the kernel says why in its log (dmesg)", upper, dir, err)
	}
	return nil
}

// layers returns where the mount's layers are, the highest first.
func (r *Record) layers() []string {
	var dirs []string
	if r.Overlay != "" {
		dirs = append(dirs, r.Dir)
	}
	dirs = append(dirs, r.tree())
	if r.Kind != Tree && r.Kind != File {
		dirs = append(dirs, r.file())
	}
	return dirs
}

// above returns the layers without the file that they are made of.
func (r *Record) above() []string {
	dirs := r.layers()
	if r.Kind != Tree && r.Kind != File {
		dirs = dirs[:len(dirs)-1]
	}
	return dirs
}

// below returns the layers without the one that is on DIR.
func (r *Record) below() []string { return r.layers()[1:] }

// settle is about how long the kernel may take to let go of a layer after the one
// above it is gone, which it does behind umount(2)'s back.
const settle = time.Second

// takeDown unmounts all layers.
func (r *Record) takeDown(flags int) error { return takeDown(r.layers(), flags) }

// takeDown unmounts the layers that are mounted, the highest first. flags are
// umount2(2)'s. A *BusyError says who uses one of them.
func takeDown(layers []string, flags int) error {
	for i, dir := range layers {
		mounted, err := isMounted(dir)
		if err != nil {
			return err
		}
		if !mounted {
			continue
		}
		err = unmount(dir, flags)
		for wait := time.Millisecond; i > 0 && errors.Is(err, unix.EBUSY) && wait < settle; wait *= 2 {
			<-time.After(wait)
			err = unmount(dir, flags)
		}
		switch {
		case err == nil, errors.Is(err, unix.EINVAL): // somebody was faster
		case errors.Is(err, unix.EBUSY) && i == 0:
			return &BusyError{Dir: dir, Holders: holders(dir)}
		case errors.Is(err, unix.EBUSY):
			return &BusyError{Dir: dir}
		default:
			return fmt.Errorf("mount: unmount %s: %w", dir, err)
		}
	}
	return nil
}

// isMounted reports whether something is mounted on dir in this process's view.
// The kernel's table is asked and not dir, which may be the rest of a dead mount.
func isMounted(dir string) (bool, error) {
	list, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(dir))
	if err != nil {
		return false, fmt.Errorf("mount: %w", err)
	}
	return len(list) > 0, nil
}
