package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/image/erofs"
	"github.com/zonecache/cached/internal/imagetest"
)

// A counter counts the reads of a source.
type counter struct {
	erofs.Source
	reads atomic.Int64
}

func (c *counter) ReadAtContext(ctx context.Context, p []byte, off int64) (int, error) {
	c.reads.Add(1)
	return c.Source.ReadAtContext(ctx, p, off)
}

// TestWhatTheKernelKnowsIsNotAskedAgain opens, reads, lists and misses files many
// times: only the first time reads the image.
func TestWhatTheKernelKnowsIsNotAskedAgain(t *testing.T) {
	needFUSE(t)
	f, size := imagetest.Open(t, imagetest.Build(t, imagetest.EveryKind()...))
	src := &counter{Source: erofs.Local(f)}
	s := serve(t, src, size, Options{})
	round := func() {
		for _, p := range []string{"large", "lib64/one", "etc/long", "bin/ping", "missing"} {
			p = filepath.Join(s.Dir(), p)
			_, _ = os.ReadFile(p)
			_, _ = os.Readlink(p)
			_, _ = os.Stat(p)
		}
		if _, err := os.ReadDir(filepath.Join(s.Dir(), "etc")); err != nil {
			t.Error(err)
		}
	}
	round()
	first := src.reads.Load()
	for range 100 {
		round()
	}
	// A kernel that is short of memory drops pages.
	if more := src.reads.Load() - first; more > first {
		t.Errorf("%d reads of the image in 100 rounds for what the kernel knew, %d in the first", more, first)
	}
}

func TestLargeDirectory(t *testing.T) {
	var items []imagetest.Item
	for i := range 10_000 {
		items = append(items, imagetest.File(fmt.Sprintf("d/%05d-%s", i, strings.Repeat("n", i%60)), fmt.Sprint(i)))
	}
	dir, _ := serveItems(t, items...)
	dir = filepath.Join(dir, "d")
	for range 2 { // the second time from what the kernel keeps
		list, err := os.ReadDir(dir)
		if err != nil || len(list) != len(items) {
			t.Fatalf("%d names, %v", len(list), err)
		}
		for i, e := range list {
			if e.Name() != strings.TrimPrefix(items[i].Name, "d/") || !e.Type().IsRegular() {
				t.Fatalf("name %d is %v", i, e)
			}
			if i%100 != 0 {
				continue
			}
			if p, err := os.ReadFile(filepath.Join(dir, e.Name())); err != nil || string(p) != items[i].Body {
				t.Fatalf("%s: %q, %v", e.Name(), p, err)
			}
		}
	}
}

// TestReadsAtOnce reads one file and others from many places at the same time,
// without the kernel's cache and with it.
func TestReadsAtOnce(t *testing.T) {
	dir, _ := serveItems(t, imagetest.EveryKind()...)
	body := map[string]string{}
	for _, it := range imagetest.EveryKind() {
		body[it.Name] = it.Body
	}
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for _, name := range []string{"large", "sparse", "holes", "bin/ping"} {
				flags := unix.O_RDONLY
				if g%2 == 0 {
					flags |= unix.O_DIRECT
				}
				f, err := os.OpenFile(filepath.Join(dir, name), flags, 0)
				if err != nil {
					t.Error(err)
					return
				}
				p := make([]byte, 300_000)
				for off := int64(g) * 4096; off < int64(len(body[name])); off += 777 * 512 {
					n, err := f.ReadAt(p, off)
					if err != nil && !errors.Is(err, io.EOF) || string(p[:n]) != body[name][off:min(int(off)+len(p), len(body[name]))] {
						t.Errorf("%s at %d: %d bytes, %v", name, off, n, err)
					}
				}
				f.Close()
			}
		})
	}
	wg.Wait()
}

// A breakable source fails while it is told to.
type breakable struct {
	erofs.Source
	broken atomic.Bool
}

var errBroken = errors.New("the origin has lost the block")

func (b *breakable) ReadAtContext(ctx context.Context, p []byte, off int64) (int, error) {
	if b.broken.Load() {
		return 0, errBroken
	}
	return b.Source.ReadAtContext(ctx, p, off)
}

func TestFailedReadsAreEIOAndLoggedOnce(t *testing.T) {
	needFUSE(t)
	f, size := imagetest.Open(t, imagetest.Build(t, imagetest.EveryKind()...))
	src := &breakable{Source: erofs.Local(f)}
	var out log
	s := serve(t, src, size, Options{Logger: out.logger()})
	file := filepath.Join(s.Dir(), "etc/owned")
	if _, err := os.Stat(file); err != nil {
		t.Fatal(err)
	}
	src.broken.Store(true)
	for range 3 {
		_, err := os.ReadFile(file)
		is(t, "read", err, unix.EIO)
	}
	if text := out.String(); strings.Count(text, "path=/etc/owned") != 1 || !strings.Contains(text, errBroken.Error()) || strings.Count(text, "\n") != 1 {
		t.Errorf("logged:\n%s", text)
	}
	src.broken.Store(false)
	if p, err := os.ReadFile(file); err != nil || string(p) != "x" {
		t.Errorf("after the failure: %q, %v", p, err)
	}
}

// A stuck source answers no read until its context ends.
type stuck struct {
	erofs.Source
	on    atomic.Bool
	asked chan struct{}
}

func (s *stuck) ReadAtContext(ctx context.Context, p []byte, off int64) (int, error) {
	if s.on.Load() {
		s.asked <- struct{}{}
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return s.Source.ReadAtContext(ctx, p, off)
}

func TestTheEndOfTheContextEndsReads(t *testing.T) {
	needFUSE(t)
	f, size := imagetest.Open(t, imagetest.Build(t, imagetest.EveryKind()...))
	src := &stuck{Source: erofs.Local(f), asked: make(chan struct{}, 100)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := Serve(ctx, t.TempDir(), src, size, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(s.Dir(), "bin/su")); err != nil {
		t.Fatal(err)
	}
	src.on.Store(true)
	result := make(chan error)
	go func() {
		_, err := os.ReadFile(filepath.Join(s.Dir(), "bin/su"))
		result <- err
	}()
	<-src.asked
	cancel()
	is(t, "a read under way", <-result, unix.EIO)
	if err := s.Unmount(); err != nil {
		t.Fatal(err)
	}
}

func TestUnmountOfABusyFileSystem(t *testing.T) {
	needFUSE(t)
	f, size := imagetest.Open(t, imagetest.Build(t, imagetest.EveryKind()...))
	s, err := Serve(t.Context(), t.TempDir(), erofs.Local(f), size, Options{})
	if err != nil {
		t.Fatal(err)
	}
	held, err := os.Open(filepath.Join(s.Dir(), "bin/ping"))
	if err != nil {
		t.Fatal(err)
	}
	err = s.Unmount()
	if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), s.Dir()) {
		t.Errorf("%v, want ErrBusy", err)
	}
	p, err := io.ReadAll(held)
	if err != nil || string(p) != "capable" {
		t.Errorf("the file held: %q, %v", p, err)
	}
	held.Close()
	for range 2 {
		if err := s.Unmount(); err != nil {
			t.Error(err)
		}
	}
	s.Wait()
	if list, err := os.ReadDir(s.Dir()); err != nil || len(list) != 0 {
		t.Errorf("left in the mount point: %v, %v", list, err)
	}
}

func TestUnmountedByAnotherHand(t *testing.T) {
	needFUSE(t)
	f, size := imagetest.Open(t, imagetest.Build(t, imagetest.EveryKind()...))
	s, err := Serve(t.Context(), t.TempDir(), erofs.Local(f), size, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Unmount(s.Dir(), 0); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	if err := s.Unmount(); err != nil {
		t.Error(err)
	}
}

func TestWhatCannotBeMounted(t *testing.T) {
	needFUSE(t)
	f, size := imagetest.Open(t, imagetest.Build(t, imagetest.EveryKind()...))
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	zeros := bytes.NewReader(make([]byte, 8192))
	for _, c := range []struct {
		dir  string
		src  io.ReaderAt
		size int64
		want string
	}{
		{file + ".missing", f, size, "no such mount point"},
		{file, f, size, "no directory"},
		{t.TempDir(), zeros, 8192, "malformed EROFS image"},
	} {
		s, err := Serve(t.Context(), c.dir, erofs.Local(c.src), c.size, Options{})
		if err == nil {
			t.Fatal(s.Unmount())
		}
		if !strings.HasPrefix(err.Error(), "tree: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}
