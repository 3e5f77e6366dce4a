package rootfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/erofs/go-erofs"
)

// An FS reads an image through go-erofs, a reader that knows nothing of how this
// package writes. Names are those of fs.FS: slash-separated, without a leading "/",
// "." for the root. It is safe for concurrent use.
type FS struct {
	img fs.FS
	r   io.ReaderAt
}

var (
	_ fs.ReadDirFS  = (*FS)(nil)
	_ fs.StatFS     = (*FS)(nil)
	_ fs.ReadLinkFS = (*FS)(nil)
)

// Open reads the superblock of an image of size bytes.
func Open(r io.ReaderAt, size int64) (*FS, error) {
	img, err := erofs.Open(io.NewSectionReader(r, 0, size))
	if err != nil {
		return nil, fmt.Errorf("rootfs: open image: %w", err)
	}
	if _, ok := img.(fs.ReadLinkFS); !ok {
		return nil, errors.New("rootfs: go-erofs reads no symbolic links")
	}
	return &FS{img: img, r: r}, nil
}

// Open opens a file or directory, following symbolic links.
func (f *FS) Open(name string) (fs.File, error) { return f.img.Open(name) }

// ReadLink returns the target of a symbolic link.
func (f *FS) ReadLink(name string) (string, error) { return fs.ReadLink(f.img, name) }

// Stat describes name, following symbolic links.
func (f *FS) Stat(name string) (fs.FileInfo, error) { return wholeMode(fs.Stat(f.img, name)) }

// Lstat describes name itself.
func (f *FS) Lstat(name string) (fs.FileInfo, error) { return wholeMode(fs.Lstat(f.img, name)) }

// ReadDir returns the entries of a directory in byte order.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := fs.ReadDir(f.img, name)
	for i, d := range list {
		list[i] = dirEntry{d}
	}
	return list, err
}

type dirEntry struct{ fs.DirEntry }

func (d dirEntry) Info() (fs.FileInfo, error) { return wholeMode(d.DirEntry.Info()) }

// wholeMode repairs what go-erofs 0.3.1 reports as mode, which lacks setuid,
// setgid and sticky.
func wholeMode(info fs.FileInfo, err error) (fs.FileInfo, error) {
	if err != nil {
		return nil, err
	}
	st, ok := info.Sys().(*erofs.Stat)
	if !ok {
		return nil, fmt.Errorf("rootfs: go-erofs describes %q by a %T", info.Name(), info.Sys())
	}
	return fileInfo{info, st.Mode}, nil
}

type fileInfo struct {
	fs.FileInfo
	mode fs.FileMode
}

func (i fileInfo) Mode() fs.FileMode { return i.mode }
func (i fileInfo) IsDir() bool       { return i.mode.IsDir() }

// Attr is everything an image knows about one file except its content.
type Attr struct {
	Mode     fs.FileMode
	Size     int64 // content, or target of a symbolic link
	UID, GID uint32
	ModTime  time.Time
	Nlink    int
	Inode    uint64            // the same for all names of a file
	Rdev     uint32            // device nodes: 12 bits of major, 20 of minor, as the kernel encodes them
	Xattrs   map[string]string // nil if it has none
	Target   string            // symbolic links
}

// Attr describes name itself, no symbolic link followed at its end.
func (f *FS) Attr(name string) (Attr, error) {
	info, err := f.Lstat(name)
	if err != nil {
		return Attr{}, err
	}
	return f.attr(name, info)
}

func (f *FS) attr(name string, info fs.FileInfo) (Attr, error) {
	st := info.Sys().(*erofs.Stat) // wholeMode has checked
	a := Attr{
		Mode: st.Mode, Size: st.Size, UID: st.UID, GID: st.GID, Nlink: st.Nlink, Inode: uint64(st.Ino),
		ModTime: time.Unix(int64(st.Mtime), int64(st.MtimeNs)),
	}
	if a.Mode&fs.ModeDevice != 0 {
		a.Rdev = st.Rdev
	}
	for key, value := range st.Xattrs {
		if a.Xattrs == nil {
			a.Xattrs = make(map[string]string, len(st.Xattrs))
		}
		if strings.HasPrefix(key, "system.posix_acl_") {
			key = strings.TrimSuffix(key, ".") // go-erofs 0.3.1 takes the whole names for prefixes
		}
		a.Xattrs[key] = value
	}
	if a.Mode&fs.ModeSymlink != 0 {
		var err error
		if a.Target, err = f.ReadLink(name); err != nil {
			return Attr{}, err
		}
	}
	return a, nil
}

// content reads a regular file straight from the image's extents, which is an
// order of magnitude faster than block by block through go-erofs.
func (f *FS) content(info fs.FileInfo) (io.Reader, error) {
	inner, ok := info.(fileInfo)
	if !ok {
		return nil, fmt.Errorf("rootfs: no file of an image: %T", info)
	}
	ranger, ok := inner.FileInfo.(interface{ DataRange() []erofs.DataRange })
	if !ok {
		return nil, errors.New("rootfs: go-erofs tells no extents")
	}
	var parts []io.Reader
	var sum int64
	for _, x := range ranger.DataRange() {
		if x.Offset < 0 {
			parts = append(parts, io.LimitReader(zeros{}, x.Size))
		} else {
			parts = append(parts, io.NewSectionReader(f.r, x.Offset, x.Size))
		}
		sum += x.Size
	}
	if sum != info.Size() {
		return nil, fmt.Errorf("rootfs: %s: extents of %d bytes for a file of %d", info.Name(), sum, info.Size())
	}
	return io.MultiReader(parts...), nil
}

// zeros reads as zeros without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
