package images

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pack writes an overlay's upper directory as a layer of an OCI image: sorted by
// path, deleted names as whiteouts, gzipped at the level that Docker uses. It
// holds no file in memory. Below are the unpacked layers that it stands on.
func pack(ctx context.Context, tree string, below []string, out string) (made Layer, err error) {
	f, err := os.Create(out)
	if err != nil {
		return made, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	packed := &meter{w: f, sum: sha256.New()}
	zip := gzip.NewWriter(packed)
	plain := &meter{w: zip, sum: sha256.New()}
	p := packer{below: below, tar: tar.NewWriter(plain), links: map[uint64]string{}}
	err = filepath.WalkDir(tree, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		name := strings.TrimPrefix(strings.TrimPrefix(at, tree), "/")
		if name == "" {
			return nil // the root is the image's, not a layer's
		}
		if err := p.add(at, name, d); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return made, err
	}
	if err := errors.Join(p.tar.Close(), zip.Close()); err != nil {
		return made, err
	}
	return Layer{
		Digest: packed.digest(), DiffID: plain.digest(), Size: packed.n, Unpacked: p.bytes, Files: p.files,
	}, nil
}

// A packer writes the entries of a layer.
type packer struct {
	below []string
	tar   *tar.Writer
	links map[uint64]string // inode with several names -> the first of them
	bytes int64
	files int
}

func (p *packer) add(at, name string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("no inode")
	}
	h := &tar.Header{
		Name: name, Mode: int64(st.Mode & 0o7777), Uid: int(st.Uid), Gid: int(st.Gid),
		ModTime: time.Unix(st.Mtim.Sec, 0), // as layers usually have them: whole seconds
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
	case unix.S_IFREG:
		return p.addFile(at, h, st)
	case unix.S_IFLNK:
		h.Typeflag = tar.TypeSymlink
		if h.Linkname, err = os.Readlink(at); err != nil {
			return err
		}
	case unix.S_IFCHR:
		if st.Rdev == 0 { // how overlayfs says that lower layers' name is gone
			return p.header(whiteout(path.Dir(name), ".wh."+path.Base(name)))
		}
		h.Typeflag = tar.TypeChar
		h.Devmajor, h.Devminor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	case unix.S_IFBLK:
		h.Typeflag = tar.TypeBlock
		h.Devmajor, h.Devminor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	case unix.S_IFSOCK:
		return nil // means nothing without the process that listens
	}
	opaque, err := attributes(at, h)
	if err != nil {
		return err
	}
	if err := p.header(h); err != nil || !opaque || !p.covers(name) {
		return err
	}
	return p.header(whiteout(name, ".wh..wh..opq"))
}

// covers reports whether a layer below has the name. Overlayfs calls every new
// directory opaque; whoever packs layers for registries says it only where it
// means something.
func (p *packer) covers(name string) bool {
	return slices.ContainsFunc(p.below, func(tree string) bool {
		_, err := os.Lstat(filepath.Join(tree, name))
		return err == nil
	})
}

func (p *packer) addFile(at string, h *tar.Header, st *syscall.Stat_t) error {
	if _, err := attributes(at, h); err != nil {
		return err
	}
	h.Typeflag = tar.TypeReg
	if first, ok := p.links[st.Ino]; ok {
		h.Typeflag, h.Linkname, h.PAXRecords = tar.TypeLink, first, nil
		return p.header(h)
	}
	if st.Nlink > 1 {
		p.links[st.Ino] = h.Name
	}
	h.Size = st.Size
	p.bytes += st.Size
	if err := p.header(h); err != nil {
		return err
	}
	f, err := os.Open(at)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(p.tar, f)
	return err
}

func (p *packer) header(h *tar.Header) error {
	p.files++
	return p.tar.WriteHeader(h)
}

func whiteout(dir, name string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: path.Join(dir, name), Mode: 0o644, ModTime: epoch}
}

// attributes adds the file's extended attributes to its header and reports
// whether it is a directory that hides what lower layers have in it.
func attributes(at string, h *tar.Header) (opaque bool, err error) {
	names, err := xattr(at, "")
	if err != nil {
		return false, err
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(names), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		value, err := xattr(at, name)
		if err != nil {
			return false, err
		}
		switch {
		case name == "trusted.overlay.opaque":
			opaque = string(value) == "y"
		case name == "trusted.overlay.redirect" || name == "trusted.overlay.metacopy":
			// The mount options rule it out; a layer without the files would be a lie.
			return false, fmt.Errorf("the overlay keeps it elsewhere (%s)", name)
		case strings.HasPrefix(name, "trusted.overlay."):
		default:
			if h.PAXRecords == nil {
				h.PAXRecords = map[string]string{}
			}
			h.PAXRecords["SCHILY.xattr."+name] = string(value)
		}
	}
	return opaque, nil
}

// xattr returns the value of an extended attribute, or all names for "".
func xattr(at, name string) ([]byte, error) {
	get := func(p []byte) (int, error) { return unix.Lgetxattr(at, name, p) }
	if name == "" {
		get = func(p []byte) (int, error) { return unix.Llistxattr(at, p) }
	}
	n, err := get(nil)
	if err != nil || n == 0 {
		return nil, err
	}
	p := make([]byte, n)
	n, err = get(p)
	return p[:max(n, 0)], err
}

// A meter hashes and counts what goes through it.
type meter struct {
	w   io.Writer
	sum hash.Hash
	n   int64
}

// Write implements io.Writer.
func (m *meter) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	m.sum.Write(p[:n])
	m.n += int64(n)
	return n, err
}

func (m *meter) digest() string { return fmt.Sprintf("sha256:%x", m.sum.Sum(nil)) }
