package rootfs

import (
	"archive/tar"
	"bytes"
	"testing"
	"time"
)

// stamp is when the files of the test layers were written.
var stamp = time.Unix(1_600_000_000, 123_456_789)

// An item is an entry of a test layer.
type item struct {
	name   string
	kind   byte // tar.TypeReg if zero
	body   string
	link   string
	mode   int64 // 0644, or 0755 for directories, if zero
	uid    int
	gid    int
	time   time.Time // stamp if zero
	xattrs map[string]string
	dev    [2]int64
}

func dirItem(name string) item        { return item{name: name, kind: tar.TypeDir} }
func fileItem(name, body string) item { return item{name: name, body: body} }
func symlinkItem(name, target string) item {
	return item{name: name, kind: tar.TypeSymlink, link: target}
}

func linkItem(name, target string) item { return item{name: name, kind: tar.TypeLink, link: target} }

// makeLayer returns the items as a tar archive.
func makeLayer(tb testing.TB, items ...item) []byte {
	tb.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, it := range items {
		if err := w.WriteHeader(it.header()); err != nil {
			tb.Fatalf("%q: %v", it.name, err)
		}
		if _, err := w.Write([]byte(it.body)); err != nil {
			tb.Fatalf("%q: %v", it.name, err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

func (it item) header() *tar.Header {
	h := &tar.Header{
		Format: tar.FormatPAX, Typeflag: it.kind, Name: it.name, Linkname: it.link, Size: int64(len(it.body)), Mode: it.mode,
		Uid: it.uid, Gid: it.gid, ModTime: it.time, Devmajor: it.dev[0], Devminor: it.dev[1], PAXRecords: map[string]string{},
	}
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
		h.ModTime = stamp
	}
	for key, value := range it.xattrs {
		h.PAXRecords[paxXattr+key] = value
	}
	return h
}

// capability is a value of security.capability: cap_net_raw+ep, in version 2.
const capability = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// acl is a value of system.posix_acl_access: u::rw- u:7:r-- g::r-- m::r-- o::---
const acl = "\x02\x00\x00\x00" +
	"\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x04\x00\x07\x00\x00\x00" + "\x04\x00\x04\x00\xff\xff\xff\xff" +
	"\x10\x00\x04\x00\xff\xff\xff\xff" + "\x20\x00\x00\x00\xff\xff\xff\xff"
