package unpack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/zonecache/cached/internal/testtool"
)

// An item is an entry of a test's archive.
type item struct {
	name string
	mode fs.FileMode
	body string // of a file; the target of a symbolic link
	hard string // what a hard link names
}

// items are of every kind that is kept in both forms.
func items() []item {
	return []item{
		{name: "app/", mode: fs.ModeDir | 0o750},
		{name: "app/main.py", mode: 0o644, body: "print('hello')\n"},
		{name: "app/run.sh", mode: 0o755, body: "#!/bin/sh\n"},
		{name: "app/secret", mode: 0o400, body: "secret"},
		{name: "app/empty", mode: 0o600},
		{name: "app/read-only/", mode: fs.ModeDir | 0o555},
		{name: "app/read-only/in it", mode: 0o444, body: "in it"},
		{name: "lib/deep/er/big", mode: 0o644, body: strings.Repeat("0123456789abcdef", 100_000)},
		{name: "current", mode: fs.ModeSymlink | 0o777, body: "app"},
		{name: "lib/deep/up", mode: fs.ModeSymlink | 0o777, body: "../../app/main.py"},
		{name: "dangling", mode: fs.ModeSymlink | 0o777, body: "lib/not/there"},
	}
}

func tarOf(t testing.TB, items ...item) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, it := range items {
		h := &tar.Header{Name: it.name, Mode: int64(it.mode.Perm()), ModTime: written, Size: int64(len(it.body)), Typeflag: tar.TypeReg}
		switch {
		case it.hard != "":
			h.Typeflag, h.Linkname = tar.TypeLink, it.hard
		case it.mode.IsDir():
			h.Typeflag = tar.TypeDir
		case it.mode&fs.ModeSymlink != 0:
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, it.body, 0
		case it.mode&fs.ModeNamedPipe != 0:
			h.Typeflag = tar.TypeFifo
		case it.mode&fs.ModeDevice != 0:
			h.Typeflag = tar.TypeChar
		}
		if it.mode&fs.ModeSetuid != 0 {
			h.Mode |= 0o4000
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			io.WriteString(w, it.body)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func zipOf(t testing.TB, method uint16, items ...item) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	w.RegisterCompressor(zstd.ZipMethodWinZip, zstd.ZipCompressor())
	for _, it := range items {
		h := &zip.FileHeader{Name: it.name, Method: method, Modified: written}
		h.SetMode(it.mode)
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = io.WriteString(f, it.body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func gzipOf(t testing.TB, p []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	w.Write(p)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func zstdOf(t testing.TB, p []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := zstd.NewWriter(&buf)
	if err == nil {
		_, err = w.Write(p)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// lay lays items out as they are to be unpacked.
func lay(t *testing.T, dir string, items []item) {
	t.Helper()
	for _, it := range items {
		name := filepath.Join(dir, it.name)
		err := os.MkdirAll(filepath.Dir(name), 0o755)
		switch {
		case err != nil:
		case it.mode.IsDir():
			err = os.MkdirAll(name, 0o755)
		case it.mode&fs.ModeSymlink != 0:
			err = os.Symlink(it.body, name)
		default:
			if err = os.WriteFile(name, []byte(it.body), 0o600); err == nil {
				err = os.Chmod(name, it.mode.Perm())
			}
			if err == nil {
				err = os.Chtimes(name, written, written)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, it := range items {
		if name := filepath.Join(dir, it.name); it.mode.IsDir() {
			if err := os.Chmod(name, it.mode.Perm()); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(name, written, written); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Cleanup(func() { os.Chmod(filepath.Join(dir, "app/read-only"), 0o755) })
}

// described leaves out directories that no entry describes.
func described(all map[string]string) map[string]string {
	for _, name := range []string{"lib", "lib/deep", "lib/deep/er"} {
		delete(all, name)
	}
	return all
}

func TestEveryFormGivesTheTree(t *testing.T) {
	want := t.TempDir()
	lay(t, want, items())
	plain := tarOf(t, items()...)
	for _, c := range []struct {
		name string
		form Form
		p    []byte
	}{
		{"tar", Tar, plain},
		{"tar.gz", TarGzip, gzipOf(t, plain)},
		{"tar.zst", TarZstd, zstdOf(t, plain)},
		{"deflate", Zip, zipOf(t, zip.Deflate, items()...)},
		{"stored", Zip, zipOf(t, zip.Store, items()...)},
		{"zip zstd", Zip, zipOf(t, zstd.ZipMethodWinZip, items()...)},
		{"zip behind a program", Zip, append([]byte("#!/usr/bin/env python3\n"), zipOf(t, zip.Deflate, items()...)...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, res := mustInto(t, c.p)
			wantListing(t, described(listing(t, dir)), described(listing(t, want)))
			os.Chmod(filepath.Join(dir, "app/read-only"), 0o755)
			if res.Form != c.form || res.Entries != len(items()) || res.Bytes != 1_600_000+15+10+6+5 {
				t.Errorf("%+v", res)
			}
		})
	}
}

func TestWhatRealProgramsPack(t *testing.T) {
	want := t.TempDir()
	lay(t, want, items())
	if err := os.Link(filepath.Join(want, "app/main.py"), filepath.Join(want, "app/same.py")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(want, "app"), written, written); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "package")
	for _, c := range []struct {
		program string
		args    []string
	}{
		{"tar", []string{"-cf", out, "."}},
		{"tar", []string{"-czf", out, "."}},
		{"tar", []string{"--format=v7", "-cf", out, "."}},
		{"tar", []string{"--format=pax", "-cf", out, "."}},
		{"tar", []string{"--sparse", "-cf", out, "app", "lib", "current", "dangling"}},
		{"zip", []string{"-qry", out, "."}},
		{"zip", []string{"-qr0y", out, "app", "lib", "current", "dangling"}},
	} {
		t.Run(c.program+" "+strings.Join(c.args[:2], " "), func(t *testing.T) {
			os.Remove(out)
			os.Remove(out + ".zip")
			cmd := exec.Command(testtool.Debian(t, c.program), c.args...)
			cmd.Dir, cmd.Env = want, append(os.Environ(), "TZ=UTC")
			if text, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", cmd, err, text)
			}
			if _, err := os.Stat(out); err != nil {
				os.Rename(out+".zip", out) // zip gives names a suffix
			}
			p, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			dir, _ := mustInto(t, p)
			wantListing(t, described(listing(t, dir)), described(listing(t, want)))
			os.Chmod(filepath.Join(dir, "app/read-only"), 0o755)
			a, errA := os.Stat(filepath.Join(dir, "app/main.py"))
			b, errB := os.Stat(filepath.Join(dir, "app/same.py"))
			if c.program == "tar" && (errA != nil || errB != nil || !os.SameFile(a, b)) {
				t.Errorf("a hard link is none any more: %v %v", errA, errB)
			}
		})
	}
}

func TestLaterEntriesOfATarReplaceEarlierOnes(t *testing.T) {
	dir, _ := mustInto(t, tarOf(t,
		item{name: "a", mode: 0o644, body: "first"},
		item{name: "b", mode: 0o644, hard: "a"},
		item{name: "a", mode: 0o600, body: "second"},
		item{name: "l", mode: fs.ModeSymlink, body: "a"},
		item{name: "l", mode: 0o644, body: "a file now"},
		item{name: "m", mode: 0o644, body: "a link later"},
		item{name: "m", mode: fs.ModeSymlink, body: "b"},
		item{name: "n", hard: "m"},
	))
	at := " " + "2024-05-06T07:08:10Z"
	wantListing(t, listing(t, dir), map[string]string{
		"a": "-rw------- second" + at, "b": "-rw-r--r-- first" + at, "l": "-rw-r--r-- a file now" + at, "m": "-> b", "n": "-> b",
	})
}

func TestSetIDAndMissingPermissions(t *testing.T) {
	dir, _ := mustInto(t, tarOf(t, item{name: "su", mode: fs.ModeSetuid | 0o755, body: "x"}))
	if fi, err := os.Stat(filepath.Join(dir, "su")); err != nil || fi.Mode() != 0o755 {
		t.Errorf("%v %v", fi.Mode(), err)
	}
	dir, _ = mustInto(t, zipOf(t, zip.Deflate, item{name: "d/", mode: fs.ModeDir}, item{name: "d/f", body: "x"}))
	if fi, err := os.Stat(filepath.Join(dir, "d/f")); err != nil || fi.Mode() != 0o644 {
		t.Errorf("%v %v", fi.Mode(), err)
	}
}
