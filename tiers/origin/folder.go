package origin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/zonecache/cached/block"
)

// A folder is a medium in a local directory. All access goes through an os.Root,
// so that neither a key nor a symbolic link leads out of it.
type folder struct {
	path    string
	observe func(op string, bytes int64)
	opened  atomic.Pointer[openFolder] // nil until the directory was seen
	swept   atomic.Bool                // leftovers were removed
}

type openFolder struct {
	*os.Root
	ident fs.FileInfo
}

var _ medium = (*folder)(nil)

func newFolder(path string, observe func(string, int64)) *folder {
	return &folder{path: path, observe: observe}
}

// dir returns the directory, opened. The daemon may start before it is there.
func (f *folder) dir() (*openFolder, error) {
	if dir := f.opened.Load(); dir != nil {
		return dir, nil
	}
	root, err := os.OpenRoot(f.path)
	if err != nil {
		return nil, err
	}
	ident, err := root.Stat(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	dir := &openFolder{root, ident}
	for !f.opened.CompareAndSwap(nil, dir) {
		if other := f.opened.Load(); other != nil { // opened by another call meanwhile
			return other, root.Close()
		}
	}
	return dir, nil
}

// stale reports whether f.path no longer leads to dir, because the directory was
// removed, renamed or unmounted; the next use then opens it anew.
func (f *folder) stale(dir *openFolder) bool {
	if now, err := os.Stat(f.path); err == nil && os.SameFile(now, dir.ident) {
		return false
	}
	if f.opened.CompareAndSwap(dir, nil) {
		_ = dir.Close() // calls in progress keep it until they end
	}
	return true
}

// in runs op in the directory. A missing file is ErrNotFound only while the
// directory is where it belongs.
func (f *folder) in(ctx context.Context, op func(dir *openFolder) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	dir, err := f.dir()
	if err != nil {
		return f.explain(err)
	}
	err = op(dir)
	if err != nil && f.stale(dir) {
		if dir, err = f.dir(); err != nil {
			return f.explain(err)
		}
		err = op(dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return block.ErrNotFound
	}
	return f.explain(err)
}

// explain gives an error its kind.
func (f *folder) explain(err error) error {
	switch {
	case err == nil, errors.Is(err, block.ErrCorrupt), errors.Is(err, block.ErrUnavailable):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: there is no directory %s", block.ErrUnavailable, f.path)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: no space left: %w", block.ErrUnavailable, err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: not allowed for user %d: %w", block.ErrUnavailable, os.Geteuid(), err)
	}
	return fmt.Errorf("%w: %w", block.ErrUnavailable, err)
}

func (f *folder) get(ctx context.Context, key string, limit int64, alloc func(n int) []byte) (modified time.Time, err error) {
	var p []byte
	err = f.in(ctx, func(root *openFolder) error {
		// O_NONBLOCK: a FIFO in place of a file must not hang the read.
		file, err := root.OpenFile(key, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		defer file.Close()
		st, err := file.Stat()
		if err != nil {
			return err
		}
		switch modified = st.ModTime(); {
		case !st.Mode().IsRegular():
			return fmt.Errorf("%w: not a regular file", block.ErrCorrupt)
		case st.Size() > limit:
			return fmt.Errorf("%w: %d bytes, at most %d are allowed", block.ErrCorrupt, st.Size(), limit)
		}
		p = alloc(int(st.Size()))
		n, err := file.ReadAt(p, 0)
		if n < len(p) && errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: the file shrank while it was read", block.ErrCorrupt)
		} else if n < len(p) {
			return err
		}
		return nil
	})
	f.observe(OpGet, int64(len(p)))
	return modified, err
}

func (f *folder) length(ctx context.Context, key string) (int64, error) {
	n := int64(-1)
	err := f.in(ctx, func(root *openFolder) error {
		st, err := root.Stat(key)
		if err == nil && st.Mode().IsRegular() {
			n = st.Size()
		}
		return err
	})
	f.observe(OpHas, 0)
	return n, err
}

func (f *folder) remove(ctx context.Context, key string) error {
	err := f.in(ctx, func(root *openFolder) error { return root.Remove(key) })
	f.observe(OpDelete, 0)
	if errors.Is(err, block.ErrNotFound) {
		return nil
	}
	return err
}

func (f *folder) list(ctx context.Context, dir string) ([]entry, error) {
	var all []entry
	err := f.in(ctx, func(root *openFolder) error {
		all = nil
		d, err := root.Open(strings.TrimSuffix(dir, "/"))
		if err != nil {
			return err
		}
		defer d.Close()
		files, err := d.ReadDir(-1)
		if err != nil {
			return err
		}
		for _, e := range files {
			// A file deleted meanwhile has no info.
			if st, err := e.Info(); err == nil && st.Mode().IsRegular() {
				all = append(all, entry{e.Name(), st.ModTime()})
			}
		}
		return nil
	})
	f.observe(OpList, 0)
	if errors.Is(err, block.ErrNotFound) {
		return nil, nil // nothing published yet
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	return all, err
}

func (f *folder) check(ctx context.Context) error {
	err := f.in(ctx, func(root *openFolder) error {
		for _, name := range []string{".", "blocks", "refs"} {
			d, err := root.Open(name)
			if errors.Is(err, fs.ErrNotExist) && name != "." {
				continue
			} else if err != nil {
				return err
			}
			_, err = d.ReadDir(1)
			if err = errors.Join(err, d.Close()); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
		}
		// A directory that was removed can still be listed through its handle.
		if f.stale(root) {
			return fs.ErrNotExist
		}
		return nil
	})
	f.observe(OpList, 0)
	if errors.Is(err, block.ErrNotFound) {
		err = f.explain(fs.ErrNotExist)
	}
	return err
}

func (f *folder) close() error {
	if dir := f.opened.Swap(nil); dir != nil {
		return dir.Close()
	}
	return nil
}
