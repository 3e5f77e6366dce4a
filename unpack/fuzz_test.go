package unpack

import (
	"archive/zip"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// FuzzInto unpacks whatever bytes: all goes into the directory, within the bounds, or
// nothing stays.
func FuzzInto(f *testing.F) {
	small := slices.DeleteFunc(items(), func(it item) bool { return len(it.body) > 100 }) // large seeds make slow mutants
	plain := tarOf(f, append(small, item{name: "same", hard: "app/main.py"})...)
	for _, p := range [][]byte{
		tarOf(f), plain, gzipOf(f, plain), zstdOf(f, plain), zipOf(f, zip.Deflate, small...), zipOf(f, zip.Store, small...),
		tarOf(f, item{name: "a/l", mode: link, body: "../b"}, item{name: "b", mode: link, body: "a"}, item{name: "b/l/x", mode: 0o644, body: "x"}),
		tarOf(f, item{name: "l", mode: link, body: "."}, item{name: "l/../../x", mode: 0o644, body: "x"}),
		zipOf(f, zip.Store, item{name: "l", mode: link, body: "a/.."}, item{name: "l/x", mode: 0o644, body: "x"}),
	} {
		f.Add(p)
	}
	const most = 4 << 20
	f.Fuzz(func(t *testing.T, p []byte) {
		parent := t.TempDir()
		dir := filepath.Join(parent, "out")
		res, err := Into(t.Context(), memory{bytes: p}, dir, Options{MaxBytes: most, MaxEntries: 100, Parallel: 2})
		if err != nil {
			wantEmpty(t, parent)
			return
		}
		if left, err := os.ReadDir(parent); err != nil || len(left) != 1 {
			t.Fatalf("%v %v", left, err)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		var bytes int64
		err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil //nolint:nilerr // permissions that the archive has may keep even us out
			}
			fi, err := d.Info()
			if err != nil {
				return err
			}
			switch fi.Mode().Type() {
			case 0:
				bytes += fi.Size()
			case fs.ModeDir:
			case fs.ModeSymlink:
				if _, err := root.Stat(name); err != nil && strings.Contains(err.Error(), "escapes") {
					t.Errorf("%q leads out", name)
				}
			default:
				t.Errorf("%q is %s", name, fi.Mode())
			}
			if fi.Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0 {
				t.Errorf("%q is %s", name, fi.Mode())
			}
			return nil
		})
		if err != nil || res.Bytes > most || res.Entries > 100 {
			t.Errorf("%+v, %d bytes: %v", res, bytes, err)
		}
	})
}

func TestACallerWhoLeavesLeavesNothing(t *testing.T) {
	for name, p := range map[string][]byte{"tar": tarOf(t, items()...), "zip": zipOf(t, zip.Deflate, items()...)} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			dir := filepath.Join(t.TempDir(), "out")
			_, err := Into(ctx, memory{bytes: p}, dir, Options{Progress: func(int64, int64) { cancel() }})
			if err == nil || ctx.Err() == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
				t.Error(err)
			}
			wantEmpty(t, filepath.Dir(dir))
		})
	}
}
