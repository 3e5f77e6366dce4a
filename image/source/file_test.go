package source

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/image"
)

func TestFileOfAnyBytes(t *testing.T) {
	in := blocktest.Bytes(7, 5<<20+321)
	f := write(t, in, t.TempDir(), "memory")
	p := mustPublish(t, newStore(), "file:"+f, Options{})
	var out bytes.Buffer
	if _, err := p.r.WriteTo(&out); err != nil || !bytes.Equal(out.Bytes(), in) {
		t.Errorf("%d bytes read back: %v", out.Len(), err)
	}
	if p.m.MediaType != image.MediaTypeBytes || len(p.m.Annotations) != 0 || p.m.Source != "" {
		t.Errorf("%+v", p.m)
	}
}

// Where a file has holes is no part of its image, and costs no reading.
func TestSparseFile(t *testing.T) {
	dir := t.TempDir()
	in := make([]byte, 24<<20+100)
	copy(in[3<<20+5:], blocktest.Bytes(1, 2<<20))
	copy(in[20<<20:], "a page")
	dense := write(t, in, dir, "dense")
	sparse := filepath.Join(dir, "sparse")
	f, err := os.Create(sparse)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, part := range [][2]int{{3<<20 + 5, 5<<20 + 5}, {20 << 20, 20<<20 + 6}} {
		if _, err := f.WriteAt(in[part[0]:part[1]], int64(part[0])); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(int64(len(in))); err != nil {
		t.Fatal(err)
	}
	s := newStore()
	a, b := mustPublish(t, s, "file:"+dense, Options{}), mustPublish(t, s, "file:"+sparse, Options{})
	if a.Manifest != b.Manifest {
		t.Error("holes are part of the image")
	}
	var out bytes.Buffer
	if _, err := b.r.WriteTo(&out); err != nil || !bytes.Equal(out.Bytes(), in) {
		t.Errorf("%d bytes read back: %v", out.Len(), err)
	}
	// 64 GiB of nothing would take a minute to read.
	if err := f.Truncate(64 << 30); err != nil {
		t.Skipf("no room for a sparse file: %v", err)
	}
	p := mustPublish(t, s, "file:"+sparse, Options{})
	if p.m.Size != 64<<30 || p.New.Stored > 4<<20 {
		t.Errorf("%d bytes, %d uploaded", p.m.Size, p.New.Stored)
	}
}
