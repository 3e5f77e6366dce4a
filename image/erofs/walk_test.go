package erofs

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/internal/imagetest"
)

// load opens an image file.
func load(tb testing.TB, name string) *Image {
	tb.Helper()
	f, size := imagetest.Open(tb, name)
	m, err := Open(tb.Context(), Local(f), size)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// find returns the inode of a path, "." for the root.
func find(tb testing.TB, m *Image, name string) Inode {
	tb.Helper()
	nid := m.Root()
	rest := path.Clean(name)
	for rest != "." && rest != "" {
		var first string
		first, rest = cutPath(rest)
		dir, err := m.Inode(tb.Context(), nid)
		if err != nil {
			tb.Fatal(err)
		}
		if nid, err = m.Lookup(tb.Context(), dir, first); err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
	}
	i, err := m.Inode(tb.Context(), nid)
	if err != nil {
		tb.Fatal(err)
	}
	return i
}

func cutPath(p string) (first, rest string) {
	for i := range len(p) {
		if p[i] == '/' {
			return p[:i], p[i+1:]
		}
	}
	return p, ""
}

// errTooMuch ends a walk through an image whose directories hold each other.
var errTooMuch = errors.New("more than an image of this size can hold")

// walk reads everything an image holds and calls visit with the path, inode,
// content or target, and attributes of each name. An error of a part does not
// keep it from the rest; the first one is returned.
func walk(tb testing.TB, m *Image, visit func(name string, i Inode, content []byte, attrs map[string]string)) error {
	tb.Helper()
	var first error
	note := func(err error) bool {
		if err != nil && first == nil {
			first = err
		}
		return err != nil
	}
	left := int64(20_000) // names
	bytes := 32 << 20     // of content
	var descend func(name string, nid uint64)
	descend = func(name string, nid uint64) {
		if left--; left < 0 || len(name) > 4096 {
			note(errTooMuch)
			return
		}
		i, err := m.Inode(tb.Context(), nid)
		if note(err) {
			return
		}
		attrs := map[string]string{}
		list, err := m.Xattrs(tb.Context(), i)
		note(err)
		for _, x := range list {
			attrs[x.Name] = x.Value
		}
		var content []byte
		switch i.Type() {
		case unix.S_IFREG:
			bytes -= int(min(i.Size, 1<<40))
			if bytes < 0 {
				note(errTooMuch)
				return
			}
			content, err = io.ReadAll(io.NewSectionReader(fileOf{tb, m, i}, 0, i.Size))
			note(err)
		case unix.S_IFLNK:
			target, err := m.Readlink(tb.Context(), i)
			note(err)
			content = []byte(target)
		}
		visit(name, i, content, attrs)
		if !i.IsDir() {
			return
		}
		for d, err := range m.ReadDir(tb.Context(), i, 0) {
			if note(err) {
				return
			}
			if d.Name == "." || d.Name == ".." {
				continue
			}
			if nid, err := m.Lookup(tb.Context(), i, d.Name); err == nil && nid != d.Nid {
				note(errors.New("readdir and lookup differ about " + d.Name))
			} else if !errors.Is(err, fs.ErrNotExist) { // a damaged order hides names
				note(err)
			}
			descend(path.Join(name, d.Name), d.Nid)
		}
	}
	descend(".", m.Root())
	return first
}

// fileOf is a file as an io.ReaderAt.
type fileOf struct {
	tb testing.TB
	m  *Image
	i  Inode
}

func (f fileOf) ReadAt(p []byte, off int64) (int, error) {
	return f.m.ReadAt(f.tb.Context(), f.i, p, off)
}
