package tree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/image/erofs"
)

// A fileSystem answers the kernel. It keeps nothing of what it answers but names for
// the log.
type fileSystem struct {
	fuse.RawFileSystem // ENOSYS for the rest
	img                *erofs.Image
	log                *slog.Logger
	names              *names
	stop               <-chan struct{}
}

var _ fuse.RawFileSystem = (*fileSystem)(nil)

func newFileSystem(img *erofs.Image, log *slog.Logger, stop <-chan struct{}) *fileSystem {
	return &fileSystem{RawFileSystem: fuse.NewDefaultRawFileSystem(), img: img, log: log, names: newNames(), stop: stop}
}

// String names the file system in go-fuse's messages.
func (f *fileSystem) String() string { return "cached" }

// ctx is of every request. The cancel channel that go-fuse gives with each is not
// used: it tells of any signal to the caller, and a read that fails for it makes
// SIGBUS of a page fault. Who is killed is gone for the kernel without our help.
func (f *fileSystem) ctx() *fuse.Context { return &fuse.Context{Cancel: f.stop} }

// FUSE has a number of its own for the root, and uses none below it.
const firstNode = fuse.FUSE_ROOT_ID + 1

func (f *fileSystem) node(nid uint64) uint64 {
	if nid == f.img.Root() {
		return fuse.FUSE_ROOT_ID
	}
	return nid + firstNode
}

func (f *fileSystem) nid(node uint64) uint64 {
	if node == fuse.FUSE_ROOT_ID {
		return f.img.Root()
	}
	return node - firstNode
}

func (f *fileSystem) inode(node uint64) (erofs.Inode, error) {
	return f.img.Inode(f.ctx(), f.nid(node))
}

// status is what the kernel hears of err, which concerns node.
func (f *fileSystem) status(node uint64, op string, err error) fuse.Status {
	if err == nil {
		return fuse.OK
	}
	if path, first := f.names.failed(node); first {
		f.log.Error("cannot read a file of the mounted image", "path", path, "op", op, "err", err)
	}
	return fuse.EIO
}

// Lookup implements fuse.RawFileSystem. That there is no such name is an answer to
// keep, too: programs look for their libraries in many places.
func (f *fileSystem) Lookup(_ <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	dir, err := f.inode(in.NodeId)
	if err != nil {
		return f.status(in.NodeId, "lookup", err)
	}
	nid, err := f.img.Lookup(f.ctx(), dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		out.SetEntryTimeout(forever)
		return fuse.OK
	}
	if err != nil {
		return f.status(in.NodeId, "lookup", err)
	}
	i, err := f.img.Inode(f.ctx(), nid)
	if err != nil {
		return f.status(in.NodeId, "lookup", fmt.Errorf("%s: %w", name, err))
	}
	f.enter(in.NodeId, name, i, out)
	return fuse.OK
}

// enter fills out for a name that the kernel will know from now on.
func (f *fileSystem) enter(parent uint64, name string, i erofs.Inode, out *fuse.EntryOut) {
	out.NodeId = f.node(i.Nid)
	out.SetEntryTimeout(forever)
	out.SetAttrTimeout(forever)
	f.attr(i, &out.Attr)
	f.names.add(out.NodeId, parent, name)
}

// Forget implements fuse.RawFileSystem.
func (f *fileSystem) Forget(node, lookups uint64) { f.names.forget(node, lookups) }

// GetAttr implements fuse.RawFileSystem.
func (f *fileSystem) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	i, err := f.inode(in.NodeId)
	if err != nil {
		return f.status(in.NodeId, "stat", err)
	}
	out.SetTimeout(forever)
	f.attr(i, &out.Attr)
	return fuse.OK
}

// attr fills out with what the kernel's own EROFS shows.
func (f *fileSystem) attr(i erofs.Inode, out *fuse.Attr) {
	size := f.img.BlockSize()
	seconds := uint64(i.Mtime)
	*out = fuse.Attr{
		Ino: i.Nid, Mode: i.Mode, Nlink: i.Nlink, Owner: fuse.Owner{Uid: i.UID, Gid: i.GID}, Rdev: i.Rdev,
		Size: uint64(i.Size), Blocks: uint64((i.Size+size-1)&^(size-1)) >> 9, Blksize: uint32(size),
		Atime: seconds, Mtime: seconds, Ctime: seconds, Atimensec: i.MtimeNs, Mtimensec: i.MtimeNs, Ctimensec: i.MtimeNs,
	}
}

// Readlink implements fuse.RawFileSystem.
func (f *fileSystem) Readlink(_ <-chan struct{}, in *fuse.InHeader) ([]byte, fuse.Status) {
	i, err := f.inode(in.NodeId)
	var target string
	if err == nil {
		target, err = f.img.Readlink(f.ctx(), i)
	}
	return []byte(target), f.status(in.NodeId, "readlink", err)
}

// Open implements fuse.RawFileSystem. ENOSYS is not a failure: the kernel opens the
// file without us, this one and all others, and keeps its pages.
func (f *fileSystem) Open(<-chan struct{}, *fuse.OpenIn, *fuse.OpenOut) fuse.Status {
	return fuse.ENOSYS
}

// Read implements fuse.RawFileSystem.
func (f *fileSystem) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	i, err := f.inode(in.NodeId)
	n := 0
	if err == nil {
		n, err = f.img.ReadAt(f.ctx(), i, buf[:min(len(buf), int(in.Size))], int64(in.Offset))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, f.status(in.NodeId, "read", err)
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

// Lseek implements fuse.RawFileSystem, for whoever copies files with holes.
func (f *fileSystem) Lseek(_ <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	i, err := f.inode(in.NodeId)
	if err != nil {
		return f.status(in.NodeId, "seek", err)
	}
	seek := f.img.SeekData
	if in.Whence == unix.SEEK_HOLE {
		seek = f.img.SeekHole
	}
	at, err := seek(f.ctx(), i, int64(in.Offset))
	if errors.Is(err, io.EOF) {
		return fuse.Status(unix.ENXIO)
	}
	out.Offset = uint64(at)
	return f.status(in.NodeId, "seek", err)
}

// StatFs implements fuse.RawFileSystem: nothing is free.
func (f *fileSystem) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	size := f.img.BlockSize()
	out.Bsize, out.Frsize, out.NameLen = uint32(size), uint32(size), 255
	out.Blocks = uint64((f.img.Size() + size - 1) / size)
	out.Files = f.img.Inodes()
	return fuse.OK
}
