package tree

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/image/erofs"
)

const (
	// forever is how long the kernel may keep what it was told.
	forever = 365 * 24 * time.Hour

	maxRead       = 1 << 20 // the most that FUSE allows without a change of the machine's settings
	maxBackground = 64      // reads ahead that the kernel may have under way; its own default is 12
)

// Options configure [Serve]. The zero value is usable.
type Options struct {
	// FsName is the source that df and /proc/self/mounts show; empty means "cached".
	FsName string
	// AllowOther lets other users than the one who mounts see the files. Users
	// need user_allow_other in /etc/fuse.conf for it.
	AllowOther bool
	// Privileged makes setuid bits, file capabilities and device nodes of the image
	// take effect, as a container's root file system needs it. Only root may.
	Privileged bool
	// Logger hears about what cannot be read; nil discards.
	Logger *slog.Logger
}

// A Server is a mounted file system. Its methods may be called concurrently.
type Server struct {
	dir   string
	ended chan struct{} // closed when the kernel has let go of the file system
}

// Serve mounts the image of size bytes on the directory dir and serves it until it
// is unmounted, by Unmount or by anybody else. Root mounts it directly, others
// through fusermount3. When ctx ends, reads of the image end with an error and
// whoever waits for them gets EIO; what the kernel has stays readable, and
// the mount stays until it is unmounted.
func Serve(ctx context.Context, dir string, src erofs.Source, size int64, opts Options) (*Server, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.FsName == "" {
		opts.FsName = "cached"
	}
	img, err := erofs.Open(ctx, src, size)
	if err != nil {
		return nil, fmt.Errorf("tree: %w", err)
	}
	dir, err = mountPoint(dir, opts)
	if err != nil {
		return nil, fmt.Errorf("tree: mount on %s: %w", dir, err)
	}
	fsys := newFileSystem(img, opts.Logger, ctx.Done())
	conn, err := fuse.NewServer(fsys, dir, mountOptions(opts))
	if err != nil {
		return nil, fmt.Errorf("tree: mount on %s: %w", dir, err)
	}
	s := &Server{dir: dir, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		conn.Serve()
	}()
	// It opens a file that is not there, so that a Go program in this process which
	// opens one never waits for an answer of its own that no thread is left to give.
	if err := conn.WaitMount(); err != nil && !errors.Is(err, unix.EACCES) {
		return nil, errors.Join(fmt.Errorf("tree: mount on %s: %w", dir, err), s.Unmount())
	}
	return s, nil
}

func mountOptions(opts Options) *fuse.MountOptions {
	o := &fuse.MountOptions{
		Name: "cached", FsName: opts.FsName, AllowOther: opts.AllowOther,
		Options:                  []string{"ro", "default_permissions"},
		MaxBackground:            maxBackground,
		MaxWrite:                 maxRead, // bounds reads as well
		EnableSymlinkCaching:     true,
		EnableAcl:                true,
		ExplicitDataCacheControl: true,
		DisableSplice:            true, // what is read is in memory
		DirectMountStrict:        os.Geteuid() == 0,
		DirectMountFlags:         unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV,
		Logger:                   slog.NewLogLogger(opts.Logger.Handler(), slog.LevelDebug),
	}
	if opts.Privileged {
		o.DirectMountFlags = unix.MS_RDONLY
	}
	return o
}

// mountPoint returns dir as an absolute path, and why nothing can be mounted there.
func mountPoint(dir string, opts Options) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return dir, err
	}
	st, err := os.Stat(abs)
	if err != nil {
		return abs, fmt.Errorf("no such mount point: %w", err)
	}
	switch root := os.Geteuid() == 0; {
	case !st.IsDir():
		return abs, errors.New("the mount point is no directory")
	case opts.Privileged && !root:
		return abs, errors.New("setuid programs and device nodes: only root may mount a file system with them")
	case !root:
		if _, err := fusermount(); err != nil {
			return abs, fmt.Errorf("a user who is not root mounts by fusermount3: install the package fuse3: %w", err)
		}
	}
	return abs, Device()
}

// Dir returns where the file system is mounted.
func (s *Server) Dir() string { return s.dir }

// Wait returns when the file system is unmounted.
func (s *Server) Wait() { <-s.ended }

// Done is closed when the file system is unmounted.
func (s *Server) Done() <-chan struct{} { return s.ended }
