package mount

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/zonecache/cached/image/rootfs"
	"github.com/zonecache/cached/internal/imagetest"
)

// A fileSource is an image in a file, which can be made to fail.
type fileSource struct {
	*os.File
	size int64
	fail atomic.Bool
}

func openSource(name string) (*fileSource, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return &fileSource{File: f, size: st.Size()}, nil
}

func (s *fileSource) ReadAtContext(_ context.Context, p []byte, off int64) (int, error) {
	if s.fail.Load() {
		return 0, syscall.ECONNREFUSED
	}
	return s.ReadAt(p, off)
}

func (s *fileSource) Size() int64 { return s.size }

// needMounts skips the test where nothing can be mounted.
func needMounts(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root: run the test as root")
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skipf("this system has no FUSE: %v", err)
	}
}

// testImage builds an image of these files.
func testImage(t *testing.T, items ...imagetest.Item) *fileSource {
	t.Helper()
	needMounts(t)
	src, err := openSource(imagetest.Build(t, items...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src
}

// start mounts src; the test's end takes it down.
func start(t *testing.T, src Source, o Options) *Mount {
	t.Helper()
	needMounts(t)
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.State == "" {
		o.State = t.TempDir()
	}
	o.Image = "test"
	m, err := New(src, o)
	if err != nil {
		if o.As != Tree && unable(err) {
			t.Skipf("this kernel: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { end(t, m) })
	return m
}

// end takes m down, if it is there, and checks that nothing of it is left.
func end(t *testing.T, m *Mount) {
	t.Helper()
	if err := m.Unmount(); err != nil {
		t.Errorf("unmount: %v", err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := m.Wait(ctx); err != nil {
		t.Errorf("wait: %v", err)
	}
	clean(t, m.opts.State, m.opts.Dir)
}

// clean checks that nothing of a mount is left in the state directory but besides.
func clean(t *testing.T, state, dir string, besides ...string) {
	t.Helper()
	left, err := os.ReadDir(state)
	left = slices.DeleteFunc(left, func(e os.DirEntry) bool { return slices.Contains(besides, e.Name()) })
	if err != nil || len(left) > 0 {
		t.Errorf("left in the state directory: %v, %v", left, err)
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if strings.Contains(line, dir) || strings.Contains(line, state) {
			t.Errorf("still mounted: %s", line)
		}
	}
}

// same compares the tree at dir with the image.
func same(t *testing.T, dir string, src *fileSource) {
	t.Helper()
	img, err := rootfs.Open(src, src.size)
	if err != nil {
		t.Fatal(err)
	}
	report, err := rootfs.Compare(t.Context(), dir, img, rootfs.KeepOwner)
	if err != nil {
		t.Fatal(err)
	}
	if !report.Same() || report.Entries == 0 {
		t.Errorf("%d differences among %d entries: %v", report.Different, report.Entries, report.Mismatches)
	}
}
