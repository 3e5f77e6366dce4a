package rootfs

import (
	"archive/tar"
	"bytes"
	"io"
	"io/fs"
	"testing"
)

// everyKindSmall is the layer below the ones that the fuzzer makes.
var everyKindSmall = func() []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, it := range []item{
		dirItem("a"), fileItem("a/x", "1"), linkItem("a/y", "a/x"), symlinkItem("b", "a"), dirItem("c/d"), fileItem("c/d/e", "2"),
	} {
		_ = w.WriteHeader(it.header())
		_, _ = w.Write([]byte(it.body))
	}
	_ = w.Close()
	return buf.Bytes()
}()

// walkAll reads every file of an image.
func walkAll(t *testing.T, image []byte) {
	t.Helper()
	fsys, err := Open(bytes.NewReader(image), int64(len(image)))
	if err != nil {
		t.Fatal(err)
	}
	err = fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := fsys.Lstat(p)
		if err != nil {
			return err
		}
		if _, err := fsys.attr(p, info); err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return nil
		}
		r, err := fsys.content(info)
		if err != nil {
			return err
		}
		n, err := io.Copy(io.Discard, r)
		if n != info.Size() {
			t.Errorf("%s: read %d bytes of %d", p, n, info.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
