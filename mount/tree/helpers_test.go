package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/image/erofs"
	"github.com/zonecache/cached/internal/imagetest"
)

// needFUSE skips the test where FUSE cannot be mounted.
func needFUSE(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("mounting needs root: run the test as root")
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		tb.Skipf("this system has no FUSE: %v", err)
	}
}

// serve mounts an image; the test unmounts it.
func serve(tb testing.TB, src erofs.Source, size int64, opts Options) *Server {
	tb.Helper()
	needFUSE(tb)
	s, err := Serve(context.WithoutCancel(tb.Context()), tb.TempDir(), src, size, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Unmount(); err != nil {
			tb.Errorf("unmount: %v", err)
		}
	})
	return s
}

// serveItems mounts an image of the items and returns where, and the image file.
func serveItems(tb testing.TB, items ...imagetest.Item) (dir, image string) {
	tb.Helper()
	needFUSE(tb)
	image = imagetest.Build(tb, items...)
	f, size := imagetest.Open(tb, image)
	return serve(tb, erofs.Local(f), size, Options{}).Dir(), image
}

// A description says all that a system call tells of each file in a tree, by path.
type description map[string]string

// What a description leaves out.
const (
	whole    = iota // nothing
	portable        // what only this kernel's view of an image has: inode numbers, sizes of directories, blocks
)

func describe(tb testing.TB, dir string, what int) description {
	tb.Helper()
	d := description{}
	names := map[uint64]string{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return err
		}
		var line strings.Builder
		fmt.Fprintf(&line, "mode %o owner %d:%d time %d.%09d rdev %#x", st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec, st.Rdev)
		if !e.IsDir() || what == whole {
			fmt.Fprintf(&line, " links %d size %d", st.Nlink, st.Size)
		}
		if names[st.Ino] == "" {
			names[st.Ino] = rel
		}
		if what == whole {
			fmt.Fprintf(&line, " ino %d blocks %d/%d changed %v read %v", st.Ino, st.Blocks, st.Blksize, st.Ctim, st.Atim)
		} else if !e.IsDir() {
			fmt.Fprintf(&line, " is %s", names[st.Ino])
		}
		fmt.Fprintf(&line, " entry %v", e.Type())
		line.WriteString(xattrs(tb, p))
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			target, err := os.Readlink(p)
			fmt.Fprintf(&line, " target %s %v", target, err)
		case unix.S_IFREG:
			content, err := os.ReadFile(p)
			fmt.Fprintf(&line, " content %d %q %v", len(content), content[:min(len(content), 40)], err)
			d["content of "+rel] = string(content)
		}
		d[rel] = line.String()
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func xattrs(tb testing.TB, p string) string {
	tb.Helper()
	buf := make([]byte, 64<<10)
	n, err := unix.Llistxattr(p, buf)
	if err != nil {
		tb.Fatalf("%s: list of attributes: %v", p, err)
	}
	var out []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00") {
		if name == "" || name == "security.selinux" {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(p, name, value)
		if err != nil {
			tb.Fatalf("%s: attribute %s: %v", p, name, err)
		}
		out = append(out, fmt.Sprintf(" %s=%x", name, value[:n]))
	}
	slices.Sort(out)
	return strings.Join(out, "")
}

// differ reports where a tree is not what is wanted.
func differ(tb testing.TB, got, want description) {
	tb.Helper()
	if len(want) < 3 {
		tb.Errorf("only %d files to compare with", len(want))
	}
	for p, w := range want {
		if g, ok := got[p]; g != w {
			tb.Errorf("%.80s (there: %v)\ngot  %.400s\nwant %.400s", p, ok, g, w)
		}
	}
	for p := range got {
		if _, ok := want[p]; !ok {
			tb.Errorf("%.80s: should not be there", p)
		}
	}
}

// A log keeps what was logged.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *log) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// is fails the test unless err is want.
func is(tb testing.TB, what string, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Errorf("%s: %v, want %v", what, err, want)
	}
}
