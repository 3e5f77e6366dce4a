package rootfs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"

	"golang.org/x/sys/unix"
)

// reportMax is how many differences a Report spells out.
const reportMax = 100

// A Report is the outcome of a comparison.
type Report struct {
	Files      int      // regular files whose content was compared, each name counted
	Entries    int      // everything that was compared
	Bytes      int64    // content compared
	Different  int      // differences found
	Mismatches []string // the first hundred of them: "path: what"
}

// Same reports whether no difference was found.
func (r Report) Same() bool { return r.Different == 0 }

// Compare holds an image against the directory tree at dir: names, types,
// content, permissions, times, owners (as owner says AddDir took them), link counts and which
// names are one file, targets, devices, and the extended attributes that AddDir
// takes. What AddDir leaves out is not missed. A tree that cannot be read is an error, a difference is not.
func Compare(ctx context.Context, dir string, img *FS, owner Ownership) (Report, error) {
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return Report{}, fmt.Errorf("rootfs: compare: %w", err)
	}
	// A Builder that spools nothing describes the host's side, with the same
	// rules about what belongs into an image.
	b, err := NewBuilder(Options{Owner: owner})
	if err != nil {
		return Report{}, err
	}
	defer b.Close()
	c := &comparison{
		img:   img,
		host:  &dirWalk{b: b, links: map[[2]uint64]*inode{}},
		names: map[*inode]int{}, inodes: map[*inode]uint64{}, nlinks: map[*inode]int{},
		bufs: [2][]byte{make([]byte, copySize), make([]byte, copySize)},
	}
	if err := c.compare(ctx, ".", root); err != nil {
		return c.report, fmt.Errorf("rootfs: compare: %w", err)
	}
	for ino, n := range c.names {
		if c.nlinks[ino] != n {
			c.differ(ino.name, "has %d names, the image counts %d", n, c.nlinks[ino])
		}
	}
	slices.Sort(c.report.Mismatches)
	return c.report, nil
}

type comparison struct {
	img    *FS
	host   *dirWalk
	names  map[*inode]int    // files with several names: how many were met
	inodes map[*inode]uint64 // and their inode in the image
	nlinks map[*inode]int    // and its link count
	bufs   [2][]byte
	report Report
}

func (c *comparison) differ(name, format string, args ...any) {
	if c.report.Different++; len(c.report.Mismatches) < reportMax {
		c.report.Mismatches = append(c.report.Mismatches, name+": "+fmt.Sprintf(format, args...))
	}
}

// compare compares name, which is host on this machine, and what is below it.
func (c *comparison) compare(ctx context.Context, name, host string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	want, err := c.host.stat(ctx, host)
	if err != nil {
		return err
	}
	info, err := c.img.Lstat(name)
	if err != nil {
		c.differ(name, "image: %v", err)
		return nil
	}
	got, err := c.img.attr(name, info)
	if err != nil {
		c.differ(name, "image: %v", err)
		return nil
	}
	c.report.Entries++
	if mode := goMode(want.mode); got.Mode != mode {
		c.differ(name, "mode %v, image %v", mode, got.Mode)
		if got.Mode.Type() != mode.Type() {
			return nil
		}
	}
	c.attributes(name, want, got)
	switch want.mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return c.directory(ctx, name, host)
	case unix.S_IFREG:
		return c.file(ctx, name, host, want, info)
	}
	return nil
}

func (c *comparison) attributes(name string, want *inode, got Attr) {
	if want.uid != got.UID || want.gid != got.GID {
		c.differ(name, "owner %d:%d, image %d:%d", want.uid, want.gid, got.UID, got.GID)
	}
	if got.ModTime.Unix() != want.mtime || got.ModTime.Nanosecond() != int(want.mtimeNs) {
		c.differ(name, "time %d.%09d, image %d.%09d", want.mtime, want.mtimeNs, got.ModTime.Unix(), got.ModTime.Nanosecond())
	}
	if want.rdev != got.Rdev {
		c.differ(name, "device %#x, image %#x", want.rdev, got.Rdev)
	}
	if want.isType(unix.S_IFLNK) && want.more.target != got.Target {
		c.differ(name, "target %q, image %q", want.more.target, got.Target)
	}
	maps.DeleteFunc(got.Xattrs, func(key, _ string) bool { return !keepHostXattr(key) })
	xs, _, err := encodeXattrs(got.Xattrs)
	if err != nil || !slices.Equal(xs, want.xattrs()) {
		c.differ(name, "attributes %q, image %q", want.xattrs(), slices.Sorted(maps.Keys(got.Xattrs)))
	}
	if want.isDir() {
		return
	}
	want.name = name // of the last name met, for the message about link counts
	if c.names[want]++; c.names[want] == 1 {
		c.inodes[want], c.nlinks[want] = got.Inode, got.Nlink
	} else if c.inodes[want] != got.Inode {
		c.differ(name, "is another name of a file that the image holds apart")
	}
}

// directory compares the names in a directory, then what they stand for.
func (c *comparison) directory(ctx context.Context, name, host string) error {
	list, err := os.ReadDir(host)
	if err != nil {
		return err
	}
	var want []string
	for _, d := range list {
		if d.Type()&fs.ModeSocket == 0 {
			want = append(want, d.Name())
		}
	}
	held, err := c.img.ReadDir(name)
	if err != nil {
		c.differ(name, "image: %v", err)
		return nil
	}
	for _, d := range held {
		if i := sort.SearchStrings(want, d.Name()); i == len(want) || want[i] != d.Name() {
			c.differ(path.Join(name, d.Name()), "only in the image")
		}
	}
	for _, base := range want {
		if err := c.compare(ctx, path.Join(name, base), filepath.Join(host, base)); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) file(ctx context.Context, name, host string, want *inode, info fs.FileInfo) error {
	c.report.Files++
	if want.size != info.Size() {
		c.differ(name, "%d bytes, image %d", want.size, info.Size())
		return nil
	}
	if want.size == 0 {
		return nil
	}
	held, err := c.img.content(info)
	if err != nil {
		c.differ(name, "image: %v", err)
		return nil
	}
	f, err := openRegular(host)
	if err != nil {
		return err
	}
	defer f.Close()
	for off := int64(0); off < want.size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(copySize, want.size-off)
		if _, err := io.ReadFull(f, c.bufs[0][:n]); err != nil {
			return fmt.Errorf("%s: %w", host, err)
		}
		if _, err := io.ReadFull(held, c.bufs[1][:n]); err != nil {
			c.differ(name, "image, from byte %d: %v", off, err)
			return nil
		}
		if !bytes.Equal(c.bufs[0][:n], c.bufs[1][:n]) {
			c.differ(name, "content differs between byte %d and %d", off, off+n)
			return nil
		}
		off += n
		c.report.Bytes += n
	}
	return nil
}

// goMode translates a mode of stat(2).
func goMode(mode uint16) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
		m |= fs.ModeDir
	case unix.S_IFLNK:
		m |= fs.ModeSymlink
	case unix.S_IFCHR:
		m |= fs.ModeDevice | fs.ModeCharDevice
	case unix.S_IFBLK:
		m |= fs.ModeDevice
	case unix.S_IFIFO:
		m |= fs.ModeNamedPipe
	}
	if mode&unix.S_ISUID != 0 {
		m |= fs.ModeSetuid
	}
	if mode&unix.S_ISGID != 0 {
		m |= fs.ModeSetgid
	}
	if mode&unix.S_ISVTX != 0 {
		m |= fs.ModeSticky
	}
	return m
}
