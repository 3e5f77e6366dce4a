package mount

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// mountEROFS has the kernel mount EROFS from a file, or, as kind says or allows,
// from a loop device over it, and returns which it was.
func mountEROFS(path, dir string, kind Kind) (Kind, error) {
	if kind != Loop {
		err := mountFile(path, dir)
		if err == nil {
			return EROFS, nil
		}
		// ENOTBLK: before Linux 6.12, or built without it.
		if kind == EROFS || !errors.Is(err, unix.ENOTBLK) {
			return "", explainEROFS(err, dir)
		}
	}
	if err := mountLoop(path, dir); err != nil {
		return "", explainEROFS(err, dir)
	}
	return Loop, nil
}

// mountFile mounts from the file itself. With directio (Linux 6.15) contents are
// kept once, in the page cache of EROFS, and not in that of the file as well.
func mountFile(path, dir string) error {
	err := unix.Mount(path, dir, "erofs", unix.MS_RDONLY, "directio")
	if errors.Is(err, unix.EINVAL) {
		return unix.Mount(path, dir, "erofs", unix.MS_RDONLY, "")
	}
	return err
}

// errNoEROFS says that the kernel has no EROFS, or none for this process.
var errNoEROFS = errors.New("the kernel mounts no EROFS here")

func explainEROFS(err error, dir string) error {
	switch {
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("mount: %w (CONFIG_EROFS_FS is off, or the module erofs is not there): use --as fuse", errNoEROFS)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("mount: %w: it needs root, and CAP_SYS_ADMIN in a container: use --as fuse", errNoEROFS)
	case errors.Is(err, unix.ENOTBLK):
		return fmt.Errorf("mount: %w from a file (Linux 6.12 does): use --as loop", errNoEROFS)
	case errors.Is(err, unix.EUCLEAN), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("mount: EROFS on %s: %w: the kernel says why in its log (dmesg)", dir, err)
	}
	return fmt.Errorf("mount: EROFS on %s: %w", dir, err)
}
