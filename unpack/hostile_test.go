package unpack

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const link = fs.ModeSymlink | 0o777

func TestHostileArchivesLeaveNothing(t *testing.T) {
	good := item{name: "good", mode: 0o644, body: "good"}
	for _, c := range []struct {
		name  string
		items []item
		kind  error
		words string
	}{
		{"absolute", []item{good, {name: "/etc/x", mode: 0o644}}, ErrMalformed, `absolute name "/etc/x"`},
		{"up", []item{good, {name: "../x", mode: 0o644}}, ErrMalformed, "leads out"},
		{"up in the middle", []item{good, {name: "a/../../x", mode: 0o644}}, ErrMalformed, "leads out"},
		{"up a directory", []item{good, {name: "a/../", mode: fs.ModeDir | 0o755}}, ErrMalformed, "leads out"},
		{"long", []item{good, {name: strings.Repeat("n", 300), mode: 0o644}}, ErrMalformed, "too long"},
		{"absolute link", []item{good, {name: "l", mode: link, body: "/etc"}}, ErrMalformed, `absolute "/etc"`},
		{"link up", []item{good, {name: "a/l", mode: link, body: "../../x"}}, ErrMalformed, "leads out"},
		{"link up behind a name", []item{good, {name: "a/b/up", mode: link, body: "../.."}, {name: "l", mode: link, body: "a/b/up/../x"}}, ErrMalformed, `".." behind a name`},
		{"link of itself", []item{good, {name: "l", mode: link, body: ""}}, ErrMalformed, "no possible target"},
		{"through a link", []item{good, {name: "l", mode: link, body: "good"}, {name: "l/x", mode: 0o644}}, ErrMalformed, "something else"},
		{"through a later link", []item{good, {name: "l/x", mode: 0o644}, {name: "l", mode: link, body: "good"}}, ErrMalformed, `"l"`},
		{"file and directory", []item{good, {name: "good/x", mode: 0o644}}, ErrMalformed, `"good" is a directory and something else`},
		{"file on the root", []item{good, {name: "./.", mode: 0o644, body: "x"}}, ErrMalformed, `"."`},
		{"pipe", []item{good, {name: "p", mode: fs.ModeNamedPipe | 0o644}}, ErrUnsupported, `"p" is a device, a pipe`},
		{"device", []item{good, {name: "p", mode: fs.ModeDevice | fs.ModeCharDevice | 0o644}}, ErrUnsupported, `"p" is a device`},
		{"bomb", []item{good, {name: "big", mode: 0o644, body: strings.Repeat("0", 2<<20)}}, ErrLimit, "more than 1048576 bytes"},
		{"bombs", []item{good, {name: "1", mode: 0o644, body: strings.Repeat("0", 600<<10)}, {name: "2", mode: 0o644, body: strings.Repeat("0", 600<<10)}}, ErrLimit, "more than 1048576 bytes"},
		{"entries", []item{good, {name: "1", mode: 0o644}, {name: "2", mode: 0o644}, {name: "3", mode: 0o644}, {name: "4", mode: 0o644}, {name: "5", mode: 0o644}}, ErrLimit, "more than 5 entries"},
	} {
		o := Options{MaxBytes: 1 << 20, MaxEntries: 5}
		t.Run(c.name, func(t *testing.T) {
			plain := tarOf(t, c.items...)
			wantNothing(t, plain, o, c.kind, c.words)
			wantNothing(t, gzipOf(t, plain), o, c.kind, c.words)
			if strings.HasPrefix(c.name, "through a later") {
				c.words = "more than once"
			}
			wantNothing(t, zipOf(t, zip.Deflate, c.items...), o, c.kind, "")
		})
	}
}

func TestHardLinksNameEarlierFiles(t *testing.T) {
	for name, c := range map[string]struct{ old, words string }{
		"later":    {"b", "no earlier file"},
		"itself":   {"h", "no earlier file"},
		"outside":  {"../x", "leads out"},
		"absolute": {"/etc/passwd", "absolute"},
		"dir":      {"d", "no earlier file"},
	} {
		t.Run(name, func(t *testing.T) {
			wantNothing(t, tarOf(t, item{name: "d/", mode: fs.ModeDir | 0o755}, item{name: "h", hard: c.old}, item{name: "b", mode: 0o644}), Options{}, ErrMalformed, c.words)
		})
	}
}

func TestAZipThatDeclaresLessThanItHas(t *testing.T) {
	p := zipOf(t, zip.Deflate, item{name: "big", mode: 0o644, body: strings.Repeat("0", 1<<20)})
	at := bytes.LastIndex(p, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(p[at+24:], 10)
	wantNothing(t, p, Options{MaxBytes: 1000}, ErrMalformed, `"big"`)
}

func TestADirectoryOfTooManyEntriesIsNotRead(t *testing.T) {
	many := make([]item, 20_000)
	for i := range many {
		many[i] = item{name: strings.Repeat("d", 100) + string(rune('a'+i%26)) + strings.Repeat("x", i%100), mode: 0o644}
	}
	wantNothing(t, zipOf(t, zip.Store, many...), Options{MaxEntries: 100}, ErrLimit, "by the size of the zip directory")
}

func TestOtherBytesAreNoArchive(t *testing.T) {
	for name, c := range map[string]struct{ text, words string }{
		"nothing": {"", "neither a zip nor a tar archive"},
		"text":    {"hello", "neither"},
		"zeros":   {strings.Repeat("\x00", 10240), "neither"},
		"xz":      {"\xfd7zXZ\x00", "pack it as"},
		"bzip2":   {"BZh91AY", "pack it as"},
	} {
		t.Run(name, func(t *testing.T) { wantNothing(t, []byte(c.text), Options{}, ErrUnsupported, c.words) })
	}
	wantNothing(t, []byte("#!/bin/sh\nexit\n"), Options{}, ErrMalformed, "zip")
	p := zipOf(t, zip.Deflate, item{name: "locked", mode: 0o644, body: "x"})
	for _, at := range []int{6, bytes.LastIndex(p, []byte("PK\x01\x02")) + 8} {
		p[at] |= 1
	}
	wantNothing(t, p, Options{}, ErrUnsupported, `"locked" is encrypted`)
	p = zipOf(t, zip.Deflate, item{name: "odd", mode: 0o644, body: "x"})
	for _, at := range []int{8, bytes.LastIndex(p, []byte("PK\x01\x02")) + 10} {
		p[at] = 14
	}
	wantNothing(t, p, Options{}, ErrUnsupported, `"odd" is compressed by method 14`)
}

// A damaged archive is refused wherever it is cut, and wherever its bytes have sums.
func TestDamagedArchivesLeaveNothing(t *testing.T) {
	some := []item{{name: "d/", mode: fs.ModeDir | 0o755}, {name: "d/a", mode: 0o644, body: strings.Repeat("some words ", 3000)}, {name: "b", mode: 0o644, body: "x"}}
	plain := tarOf(t, some...)
	for name, p := range map[string][]byte{"tar": plain, "tar.gz": gzipOf(t, plain), "tar.zst": zstdOf(t, plain), "zip": zipOf(t, zip.Deflate, some...)} {
		t.Run(name, func(t *testing.T) {
			end := len(p)
			if name == "tar" {
				end -= headLength // one block of zeros is an end mark still
			}
			for cut := 1; cut < end; cut += 1 + end/97 {
				dir, _, err := into(t, p[:cut], Options{})
				if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported) {
					t.Errorf("cut at %d: %v", cut, err)
				}
				wantEmpty(t, filepath.Dir(dir))
			}
			if name == "tar" {
				return
			}
			at := len(p) / 2
			bad := bytes.Clone(p)
			bad[at] ^= 0x10
			wantNothing(t, bad, Options{}, ErrMalformed, "")
		})
	}
}

func TestAMissingBlockIsToldAsItself(t *testing.T) {
	plain := tarOf(t, item{name: "a", mode: 0o644, body: strings.Repeat("0123", 100_000)}, item{name: "b", mode: 0o644})
	for name, p := range map[string][]byte{"tar": plain, "tar.gz": gzipOf(t, plain), "zip": zipOf(t, zip.Store, item{name: "a", mode: 0o644, body: strings.Repeat("0123", 100_000)})} {
		for _, fail := range []int64{1, 400, int64(len(p)) / 2, int64(len(p)) - 1} {
			dir := filepath.Join(t.TempDir(), "out")
			_, err := Into(t.Context(), memory{p, fail}, dir, Options{})
			if !errors.Is(err, errSource) || errors.Is(err, ErrMalformed) {
				t.Errorf("%s, from %d on: %v", name, fail, err)
			}
			wantEmpty(t, filepath.Dir(dir))
		}
	}
}

func TestBytesBehindTheEndOfATar(t *testing.T) {
	p := tarOf(t, item{name: "a", mode: 0o644, body: "x"})
	mustInto(t, append(bytes.Clone(p), make([]byte, 1<<20)...))
	wantNothing(t, gzipOf(t, append(bytes.Clone(p), make([]byte, 4<<20)...)), Options{}, ErrMalformed, "behind its end")
}

func TestDirectoriesThatCannotBeReplaced(t *testing.T) {
	p := tarOf(t, item{name: "a", mode: 0o644, body: "x"})
	parent := t.TempDir()
	full := filepath.Join(parent, "full")
	if err := os.MkdirAll(filepath.Join(full, "in it"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(parent, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for dir, words := range map[string]string{
		full:                              "is not empty",
		file:                              "is not a directory",
		filepath.Join(parent, "no", "no"): "cannot be made",
		"/proc":                           "",
	} {
		_, err := Into(t.Context(), memory{bytes: p}, dir, Options{})
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	left, err := os.ReadDir(parent)
	if err != nil || len(left) != 2 {
		t.Errorf("%v %v", left, err)
	}
	t.Chdir(filepath.Join(full, "in it"))
	if _, err := Into(t.Context(), memory{bytes: p}, ".", Options{}); err == nil || !strings.Contains(err.Error(), "current directory") {
		t.Error(err)
	}
}

func TestAnEmptyDirectoryKeepsItsPermissions(t *testing.T) {
	parent := t.TempDir()
	dir, way := filepath.Join(parent, "dir"), filepath.Join(parent, "way")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Symlink("dir", way)); err != nil {
		t.Fatal(err)
	}
	if _, err := Into(t.Context(), memory{bytes: tarOf(t, item{name: "a", mode: 0o644, body: "x"})}, way, Options{}); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(dir)
	if err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", fi.Mode(), err)
	}
	if _, err := os.Stat(filepath.Join(way, "a")); err != nil {
		t.Error(err)
	}
}

func TestSomebodyElseFillsTheDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	o := Options{Progress: func(int64, int64) { _ = os.MkdirAll(filepath.Join(dir, "other"), 0o755) }}
	_, err := Into(t.Context(), memory{bytes: tarOf(t, item{name: "a", mode: 0o644, body: "x"})}, dir, o)
	if err == nil || !strings.Contains(err.Error(), "no longer empty") {
		t.Error(err)
	}
	if left, _ := os.ReadDir(filepath.Dir(dir)); len(left) != 1 {
		t.Errorf("%v is left", left)
	}
}
