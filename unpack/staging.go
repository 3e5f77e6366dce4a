package unpack

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// A staging is the sibling of a directory in which a tree is made.
type staging struct {
	dir, tmp   string
	root       *os.Root
	attributes attributes  // of dir, for the root of the tree
	exact      fs.FileMode // permissions that the umask does not take away
	done       bool
}

// stage makes the sibling of dir, which is not there or empty.
func stage(dir string) (*staging, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	parent := filepath.Dir(dir)
	over, err := os.Stat(parent)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be made: %w", dir, err)
	}
	s := &staging{dir: dir}
	was, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		was = nil
	case err != nil:
		return nil, err
	default:
		if err := checkEmpty(dir, was, over); err != nil {
			return nil, err
		}
	}
	s.tmp = filepath.Join(parent, "."+filepath.Base(dir)+".unpack-"+rand.Text()[:10])
	if err := os.Mkdir(s.tmp, 0o755); err != nil {
		return nil, err
	}
	if err := s.open(was); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// checkEmpty says why the tree could not take the place of dir.
func checkEmpty(dir string, was, over fs.FileInfo) error {
	if !was.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	a, okA := was.Sys().(*syscall.Stat_t)
	b, okB := over.Sys().(*syscall.Stat_t)
	if okA && okB && a.Dev != b.Dev {
		return fmt.Errorf("%s is a mount point, which cannot be replaced: give a directory in it", dir)
	}
	if here, err := os.Stat("."); err == nil && os.SameFile(here, was) {
		return fmt.Errorf("%s is the current directory, which cannot be replaced: give a directory in it", dir)
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.ReadDir(1); !errors.Is(err, io.EOF) {
		if err != nil {
			return err
		}
		return fmt.Errorf("%s is not empty: give a new or an empty directory", dir)
	}
	return nil
}

// open opens the sibling, which gets the owner and permissions that dir has.
func (s *staging) open(was fs.FileInfo) error {
	is, err := os.Lstat(s.tmp)
	if err != nil {
		return err
	}
	s.exact = is.Mode().Perm()
	if was == nil {
		was = is
	} else if st, ok := was.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		if err := os.Chown(s.tmp, int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
	}
	s.attributes = attributes{mode: was.Mode().Perm()}
	s.root, err = os.OpenRoot(s.tmp)
	return err
}

// commit puts the tree in the place of dir.
func (s *staging) commit() error {
	err := unix.Rename(s.tmp, s.dir) // os.Rename does not replace directories
	switch {
	case errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.EEXIST), errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("%s is no longer empty: somebody else has put something there", s.dir)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%s is a mount point, which cannot be replaced: give a directory in it", s.dir)
	case err != nil:
		return fmt.Errorf("%s: put the tree in its place: %w", s.dir, err)
	}
	s.done = true
	return nil
}

// close removes the tree unless it is in its place.
func (s *staging) close() error {
	var err error
	if s.root != nil {
		err = s.root.Close()
	}
	if s.done {
		return err
	}
	if rm := os.RemoveAll(s.tmp); rm != nil {
		// A directory whose permissions are set already may keep its owner out.
		_ = filepath.WalkDir(s.tmp, func(name string, d fs.DirEntry, err error) error {
			if d != nil && d.IsDir() {
				_ = os.Chmod(name, 0o700)
			}
			return nil // what is left is seen below
		})
		err = errors.Join(err, os.RemoveAll(s.tmp))
	}
	return err
}
