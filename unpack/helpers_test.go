package unpack

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zonecache/cached/block/blocktest"
)

func TestMain(m *testing.M) { blocktest.Main(m) }

// A memory is a source; what lies behind fail cannot be had.
type memory struct {
	bytes []byte
	fail  int64 // 0: nothing fails
}

var (
	_         Source = memory{}
	errSource        = errors.New("the block is gone")
)

func (m memory) Size() int64 { return int64(len(m.bytes)) }

func (m memory) ReadAtContext(ctx context.Context, p []byte, off int64) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if m.fail > 0 && off+int64(len(p)) > m.fail {
		return 0, errSource
	}
	return bytes.NewReader(m.bytes).ReadAt(p, off)
}

func (m memory) CopyRange(ctx context.Context, w io.Writer, off, length int64) (n int64, err error) {
	buf := make([]byte, 10_000)
	for n < length {
		k, err := m.ReadAtContext(ctx, buf[:min(int64(len(buf)), length-n)], off+n)
		if err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
		k, err = w.Write(buf[:k])
		n += int64(k)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// written is when all test files were written.
var written = time.Date(2024, 5, 6, 7, 8, 10, 0, time.UTC)

// into unpacks p into a new directory.
func into(t *testing.T, p []byte, o Options) (string, Result, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "out")
	res, err := Into(t.Context(), memory{bytes: p}, dir, o)
	return dir, res, err
}

func mustInto(t *testing.T, p []byte) (string, Result) {
	t.Helper()
	dir, res, err := into(t, p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return dir, res
}

// wantNothing checks that an archive is refused, and leaves nothing.
func wantNothing(t *testing.T, p []byte, o Options, kind error, words string) {
	t.Helper()
	dir, _, err := into(t, p, o)
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want %q: ... %q", err, kind, words)
	}
	wantEmpty(t, filepath.Dir(dir))
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		t.Errorf("%s is left in %s", e.Name(), dir)
	}
}

// listing describes a tree: names, types, permissions, contents, and the times of
// all but links.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil || rel == "." {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		text := fi.Mode().String()
		switch {
		case fi.Mode().Type() == fs.ModeSymlink:
			target, err := os.Readlink(name)
			all[rel] = "-> " + target
			return err
		case fi.Mode().IsRegular():
			p, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			text += " " + string(p)
		}
		all[rel] = text + " " + fi.ModTime().UTC().Format(time.RFC3339)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wantListing(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, w := range want {
		if g := got[name]; g != w {
			t.Errorf("%s: %.200q, want %.200q", name, g, w)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is not of the archive", name)
		}
	}
}
