package mount

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// A spare is a mount of the image's EROFS that is in no mount table: as long as it is
// open, the kernel keeps the file system and its pages, whoever unmounts it elsewhere.
// Its process's end closes it.
type spare struct {
	mu   sync.Mutex
	tree int // -1: closed
}

// newSpare makes a spare of what is mounted on dir.
func newSpare(dir string) (*spare, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return nil, fmt.Errorf("mount: a spare of %s: %w", dir, err)
	}
	// Otherwise what a container mounts below dir would be mounted here as well, and
	// held.
	attr := unix.MountAttr{Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("mount: a spare of %s: %w", dir, err)
	}
	return &spare{tree: fd}, nil
}

// open reports whether there is one.
func (s *spare) open() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tree >= 0
}

// close gives it up.
func (s *spare) close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tree >= 0 {
		unix.Close(s.tree)
		s.tree = -1
	}
}

// place mounts it on dir; it is closed then.
func (s *spare) place(dir string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := unix.MoveMount(s.tree, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount: on %s: %w", dir, err)
	}
	unix.Close(s.tree) // a descriptor of what is mounted would keep it busy
	s.tree = -1
	return nil
}
