// Package imagetest makes EROFS images of files of every kind, for tests of what
// reads and mounts them.
package imagetest

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zonecache/cached/image/rootfs"
)

// Stamp is when the files of EveryKind were written.
var Stamp = time.Unix(1_600_000_000, 123_456_789)

// Capability is a value of security.capability: cap_net_raw+ep, in version 2.
const Capability = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// ACL is a value of system.posix_acl_access: u::rw- u:7:r-- g::r-- m::r-- o::---
const ACL = "\x02\x00\x00\x00" +
	"\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x04\x00\x07\x00\x00\x00" + "\x04\x00\x04\x00\xff\xff\xff\xff" +
	"\x10\x00\x04\x00\xff\xff\xff\xff" + "\x20\x00\x00\x00\xff\xff\xff\xff"

// An Item is an entry of a layer: a tar header and the content of a regular file.
// A mode of zero stands for 0644, or 0755 for directories; a time of zero for
// Stamp.
type Item struct {
	tar.Header
	Body string
}

// Dir is a directory.
func Dir(name string) Item { return Item{Header: tar.Header{Name: name, Typeflag: tar.TypeDir}} }

// File is a regular file.
func File(name, body string) Item { return Item{Header: tar.Header{Name: name}, Body: body} }

// Symlink is a symbolic link.
func Symlink(name, target string) Item {
	return Item{Header: tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target}}
}

// Link is another name of a file.
func Link(name, target string) Item {
	return Item{Header: tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: target}}
}

// Xattrs returns the item with extended attributes.
func (i Item) Xattrs(named map[string]string) Item {
	i.PAXRecords = map[string]string{}
	for key, value := range named {
		i.PAXRecords["SCHILY.xattr."+key] = value
	}
	return i
}

// Perm returns the item with another mode.
func (i Item) Perm(mode int64) Item {
	i.Mode = mode
	return i
}

// Owned returns the item with other owners.
func (i Item) Owned(uid, gid int) Item {
	i.Uid, i.Gid = uid, gid
	return i
}

// At returns the item with another time.
func (i Item) At(t time.Time) Item {
	i.ModTime = t
	return i
}

// Node returns a device node or fifo.
func Node(name string, kind byte, major, minor int64) Item {
	return Item{Header: tar.Header{Name: name, Typeflag: kind, Devmajor: major, Devminor: minor}}
}

// EveryKind returns files of every kind, with all that an image keeps of them.
func EveryKind() []Item {
	return []Item{
		Dir("./"),
		Dir("bin"),
		File("bin/su", "set uid").Perm(0o4755),
		File("bin/wall", "set gid").Perm(0o2755).Owned(0, 5),
		File("bin/ping", "capable").Perm(0o755).Xattrs(map[string]string{"security.capability": Capability, "user.note": "x"}),
		Dir("tmp").Perm(0o1777),
		Dir("dev"),
		Node("dev/null", tar.TypeChar, 1, 3).Perm(0o666),
		Node("dev/loop", tar.TypeBlock, 7, 300).Perm(0o660).Owned(0, 6),
		Node("dev/pipe", tar.TypeFifo, 0, 0).Perm(0o600),
		Dir("etc").Xattrs(map[string]string{"user.on-a-directory": strings.Repeat("v", 2000)}),
		File("etc/acl", "for seven").Perm(0o640).Xattrs(map[string]string{"system.posix_acl_access": ACL}),
		File("etc/empty", ""),
		File("etc/owned", "x").Owned(70000, 4_000_000_000),
		File("etc/old", "x").At(time.Unix(-86400, 999_999_999)),
		File("etc/"+strings.Repeat("n", 255), "long"),
		File("etc/secret", "for root").Perm(0o600),
		File("etc/trusted", "x").Xattrs(map[string]string{"trusted.only": "root", "user.all": "all"}),
		Symlink("etc/abs", "/lib/one"),
		Link("etc/abs2", "etc/abs"),
		Symlink("etc/long", strings.Repeat("t", 4000)),
		Dir("lib"),
		File("lib/one", "shared by names"),
		Link("lib/two", "lib/one"),
		Link("other-place", "lib/two"),
		Symlink("lib64", "lib"),
		Dir("empty"),
		File("large", strings.Repeat("0123456789abcdef", 200_000)),
		File("sparse", "head"+strings.Repeat("\x00", 5<<20)+"tail"),
		File("holes", strings.Repeat(strings.Repeat("\x00", 1<<20)+strings.Repeat("x", 1<<20), 3)),
		File("zeros", strings.Repeat("\x00", 3<<20+5)),
		File("\xff\xfe not UTF-8", "bytes"),
	}
}

// WriteLayer writes the items as a tar archive.
func WriteLayer(to io.Writer, items ...Item) error {
	w := tar.NewWriter(to)
	for _, it := range items {
		if err := w.WriteHeader(it.header()); err != nil {
			return fmt.Errorf("imagetest: %q: %w", it.Name, err)
		}
		if _, err := io.WriteString(w, it.Body); err != nil {
			return fmt.Errorf("imagetest: %q: %w", it.Name, err)
		}
	}
	return w.Close()
}

// Build makes an image of one layer and returns the file it is in.
func Build(tb testing.TB, items ...Item) string {
	tb.Helper()
	var layer bytes.Buffer
	if err := WriteLayer(&layer, items...); err != nil {
		tb.Fatal(err)
	}
	b, err := rootfs.NewBuilder(rootfs.Options{SpoolDir: tb.TempDir()})
	if err != nil {
		tb.Fatal(err)
	}
	defer b.Close()
	if err := b.AddTar(tb.Context(), &layer); err != nil {
		tb.Fatal(err)
	}
	img, err := b.Finish(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	name := filepath.Join(tb.TempDir(), "image.erofs")
	f, err := os.Create(name)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	if err := img.Stream(tb.Context(), f); err != nil {
		tb.Fatal(err)
	}
	return name
}

func (i Item) header() *tar.Header {
	h := i.Header
	h.Format, h.Size = tar.FormatPAX, int64(len(i.Body))
	if h.Typeflag == 0 {
		h.Typeflag = tar.TypeReg
	}
	if h.Mode == 0 {
		h.Mode = 0o644
		if h.Typeflag == tar.TypeDir {
			h.Mode = 0o755
		}
	}
	if h.ModTime.IsZero() {
		h.ModTime = Stamp
	}
	return &h
}

// Open returns an image file, which the test closes, and its size.
func Open(tb testing.TB, name string) (*os.File, int64) {
	tb.Helper()
	f, err := os.Open(name)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { f.Close() })
	st, err := f.Stat()
	if err != nil {
		tb.Fatal(err)
	}
	return f, st.Size()
}
