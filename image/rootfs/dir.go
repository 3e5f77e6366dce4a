package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// AddDir adds the tree below path as the next layer. Attributes are taken now,
// contents are read in place when the image is streamed; files that change or
// vanish in between are an error that matches ErrChanged. Files with several names
// inside the tree keep one inode. Sockets are left out, as are extended attributes
// that belong to the host rather than to the tree (see keepHostXattr).
//
// After an error the Builder makes no image.
func (b *Builder) AddDir(ctx context.Context, path string) error {
	if err := b.begin(); err != nil {
		return err
	}
	if len(b.sources) > 1<<16-1 {
		return b.fail(errors.New("too many directories"))
	}
	// The tree may be named through a symbolic link; below it none is followed.
	root, err := filepath.Abs(path)
	if err == nil {
		root, err = filepath.EvalSymlinks(root)
	}
	if err != nil {
		return b.fail(err)
	}
	b.sources = append(b.sources, &hostDir{root: root})
	w := &dirWalk{b: b, source: uint16(len(b.sources) - 1), links: map[[2]uint64]*inode{}}
	if err := w.addRoot(ctx, root); err != nil {
		return b.fail(err)
	}
	return nil
}

// A dirWalk adds one directory tree.
type dirWalk struct {
	b      *Builder
	source uint16
	links  map[[2]uint64]*inode // device and inode number of files with several names
}

func (w *dirWalk) addRoot(ctx context.Context, host string) error {
	ino, err := w.stat(ctx, host)
	if err != nil {
		return err
	}
	if ino == nil || !ino.isDir() {
		return fmt.Errorf("%s is not a directory", host)
	}
	w.b.tree.root.describe(ino)
	return w.fill(ctx, w.b.tree.root, host)
}

// fill adds what host holds to dir.
func (w *dirWalk) fill(ctx context.Context, dir *inode, host string) error {
	list, err := os.ReadDir(host)
	if err != nil {
		return vanished(err)
	}
	for _, item := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := item.Name()
		child := filepath.Join(host, name)
		if len(name) > nameMax {
			return fmt.Errorf("%s: %w: name of %d bytes", child, ErrUnsupported, len(name))
		}
		ino, err := w.stat(ctx, child)
		if err != nil {
			return err
		}
		if ino == nil {
			w.b.stats.SkippedSockets++
			w.b.log.Debug("socket left out of the image", "path", child)
			continue
		}
		w.b.tree.put(dir, name, ino)
		if ino.isDir() {
			if err := w.fill(ctx, dir.more.names[name].ino, child); err != nil {
				return err
			}
		}
	}
	return nil
}

// stat makes the inode of a host file; nil for a socket.
func (w *dirWalk) stat(ctx context.Context, host string) (*inode, error) {
	var st unix.Stat_t
	if err := unix.Lstat(host, &st); err != nil {
		return nil, vanished(&fs.PathError{Op: "lstat", Path: host, Err: err})
	}
	kind := uint16(st.Mode & unix.S_IFMT)
	if kind == unix.S_IFSOCK {
		return nil, nil
	}
	key := [2]uint64{st.Dev, st.Ino}
	if kind != unix.S_IFDIR && st.Nlink > 1 {
		if ino := w.links[key]; ino != nil {
			return ino, nil
		}
	}
	ino := &inode{
		mode:    uint16(st.Mode),
		mtime:   st.Mtim.Sec,
		mtimeNs: uint32(st.Mtim.Nsec),
		at:      int64(st.Ino),
		source:  w.source,
	}
	if w.b.opts.Owner == KeepOwner {
		ino.uid, ino.gid = st.Uid, st.Gid
	}
	var err error
	switch kind {
	case unix.S_IFDIR:
		ino.ext().names = map[string]entry{}
	case unix.S_IFREG:
		if ino.size = st.Size; ino.size > fileMax {
			return nil, fmt.Errorf("%s: %w: file of %d bytes, at most %d", host, ErrUnsupported, ino.size, int64(fileMax))
		}
		err = w.findHoles(ctx, ino, host)
	case unix.S_IFLNK:
		if ino.ext().target, err = os.Readlink(host); err != nil {
			return nil, vanished(err)
		}
		ino.size = int64(len(ino.more.target))
	case unix.S_IFCHR, unix.S_IFBLK:
		ino.rdev, err = encodeDevice(int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev)))
	case unix.S_IFIFO:
	default:
		err = fmt.Errorf("%w: file of mode %o", ErrUnsupported, st.Mode)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", host, err)
	}
	named, err := w.xattrs(host)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", host, err)
	}
	if err := w.b.setXattrs(ino, named); err != nil {
		return nil, fmt.Errorf("%s: %w", host, err)
	}
	if kind != unix.S_IFDIR && st.Nlink > 1 {
		w.links[key] = ino
	}
	return ino, nil
}

// findHoles looks for chunks of zeros in a large file. One read of 4 KiB decides
// for nearly every chunk, so this does not read the file twice.
func (w *dirWalk) findHoles(ctx context.Context, ino *inode, host string) error {
	chunk := chunkSize(ino.size)
	if ino.size < chunk {
		return nil
	}
	f, err := openRegular(host)
	if err != nil {
		return err
	}
	defer f.Close()
	var found *holes
	for off := int64(0); off < ino.size; off += chunk {
		if err := ctx.Err(); err != nil {
			return err
		}
		zero, err := zeroRange(ctx, f, w.b.spool.buf, extent{off, min(chunk, ino.size-off)})
		if err != nil {
			return err
		}
		if zero {
			if found == nil {
				found = newHoles(ino.size)
			}
			found.set(off / chunk)
		}
	}
	if found != nil {
		ino.ext().holes = found
	}
	return nil
}

// zeroRange reports whether an extent of f is all zeros, without reading what the
// file system knows to be a hole.
func zeroRange(ctx context.Context, f *os.File, buf []byte, x extent) (bool, error) {
	end := x.off + x.len
	if next, err := unix.Seek(int(f.Fd()), x.off, unix.SEEK_DATA); errors.Is(err, unix.ENXIO) || err == nil && next >= end {
		return true, nil
	}
	for n := int64(4096); x.off < end; n = copySize {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n = min(n, end-x.off)
		if _, err := f.ReadAt(buf[:n], x.off); err != nil {
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("%w: it became shorter", ErrChanged)
			}
			return false, err
		}
		if !allZero(buf[:n]) {
			return false, nil
		}
		x.off += n
	}
	return true, nil
}

// xattrs reads the attributes of a host file that belong into an image.
func (w *dirWalk) xattrs(host string) (map[string]string, error) {
	list, err := readXattr(func(p []byte) (int, error) { return unix.Llistxattr(host, p) })
	if err != nil || list == "" {
		return nil, err
	}
	named := map[string]string{}
	for name := range strings.SplitSeq(strings.TrimSuffix(list, "\x00"), "\x00") {
		if !keepHostXattr(name) {
			w.b.stats.SkippedXattrs++
			continue
		}
		named[name], err = readXattr(func(p []byte) (int, error) { return unix.Lgetxattr(host, name, p) })
		if err != nil {
			return nil, fmt.Errorf("attribute %q: %w", name, err)
		}
	}
	return named, nil
}

// keepHostXattr says which attributes belong to a tree: capabilities, ACLs and the
// user's own. Labels of a security module and trusted. attributes belong to the
// host that the tree lies on; only root sees the latter. With either, the same tree
// would make another image on another machine.
func keepHostXattr(name string) bool {
	switch {
	case name == "security.capability", strings.HasPrefix(name, "user."), strings.HasPrefix(name, "system.posix_acl_"):
		return true
	}
	return false
}

// readXattr calls a system call that says how much room it needs.
func readXattr(call func([]byte) (int, error)) (string, error) {
	for {
		n, err := call(nil)
		if errors.Is(err, unix.ENOTSUP) || err == nil && n == 0 {
			return "", nil
		}
		if err != nil {
			return "", vanished(err)
		}
		p := make([]byte, n)
		n, err = call(p)
		if err == nil {
			return string(p[:n]), nil
		}
		if !errors.Is(err, unix.ERANGE) { // it grew in between: again
			return "", vanished(err)
		}
	}
}

// vanished marks the failures that mean the tree changed under the walk.
func vanished(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENODATA) {
		return fmt.Errorf("%w: %w", ErrChanged, err)
	}
	return err
}
