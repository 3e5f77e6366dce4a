package mount

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A Source is an image's bytes. A read fails within a time of its own.
type Source interface {
	ReadAtContext(ctx context.Context, p []byte, off int64) (int, error)
	Size() int64
}

const (
	// imageFile is the name of the one file.
	imageFile = "image.erofs"
	// maxRead is the largest read the kernel sends: as much as FUSE carries at once.
	maxRead = 1 << 20
	// background is how many reads the kernel has under way that no program waits
	// for alone.
	background = 64
)

// serveFile mounts a file system with the image as its one file on dir.
func serveFile(dir string, src Source, o Options) (*fuse.Server, error) {
	ahead, log := o.ReadAhead, o.Logger
	if ahead <= 0 {
		ahead = maxRead
	}
	forever := time.Hour // nothing ever changes
	root := &fs.Inode{}
	node := &fileNode{src: src, log: log}
	server, err := fs.Mount(dir, root, &fs.Options{
		MountOptions: fuse.MountOptions{
			FsName: sourceName(o.Image), Name: "cached",
			Options:       []string{"ro", "default_permissions"},
			AllowOther:    os.Geteuid() == 0, // the kernel reads on behalf of whoever runs in the image
			MaxWrite:      maxRead,
			MaxReadAhead:  ahead,
			MaxBackground: background,
			MaxStackDepth: -1, // no passthrough: with it the kernel mounts nothing from a file of ours
			DisableXAttrs: true,
			DirectMount:   true,
			Logger:        slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		},
		EntryTimeout: &forever, AttrTimeout: &forever,
		Logger: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		OnAdd: func(ctx context.Context) {
			root.AddChild(imageFile, root.NewPersistentInode(ctx, node, fs.StableAttr{Mode: syscall.S_IFREG, Ino: 2}), false)
		},
	})
	if err != nil {
		return nil, explainFUSE(err, dir)
	}
	return server, nil
}

// sourceName is what df shows of an image.
func sourceName(image string) string { return "cached:" + image }

// fileNode is the file.
type fileNode struct {
	fs.Inode
	src Source
	log *slog.Logger
}

var (
	_ fs.NodeGetattrer = (*fileNode)(nil)
	_ fs.NodeOpener    = (*fileNode)(nil)
	_ fs.NodeReader    = (*fileNode)(nil)
)

// Getattr implements fs.NodeGetattrer.
func (n *fileNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Nlink = syscall.S_IFREG|0o444, 1
	out.Size = uint64(n.src.Size())
	out.Blocks, out.Blksize = (out.Size+511)/512, 4096
	return 0
}

// Open implements fs.NodeOpener.
func (n *fileNode) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		return nil, 0, syscall.EROFS
	}
	return nil, fuse.FOPEN_KEEP_CACHE, 0
}

// Read implements fs.NodeReader. It takes no notice of its reader's end: others
// may wait for the same page, which would be theirs to fail with.
func (n *fileNode) Read(ctx context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	got, err := n.src.ReadAtContext(context.WithoutCancel(ctx), dest, off)
	if err != nil && !errors.Is(err, io.EOF) {
		n.log.Error("a read of the image failed", "offset", off, "length", len(dest), "error", err)
		return nil, syscall.EIO
	}
	return fuse.ReadResultData(dest[:got]), 0
}
