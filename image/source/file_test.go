package source

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/image"
	"github.com/zonecache/cached/image/rootfs"
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

// A file that is written to while it is read is never published: the image could
// be half of each.
func TestFileThatChanges(t *testing.T) {
	const size = 3 << 20
	old := time.Now().Add(-time.Hour)
	overwrite := func(name string) error {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt([]byte("new"), size/2)
		return errors.Join(err, f.Close())
	}
	for name, tt := range map[string]struct {
		sparse bool
		change func(name string) error
		want   string
	}{
		"not at all": {},
		"content":    {change: overwrite, want: "it was written to"},
		"a hole":     {change: overwrite, want: "it was written to", sparse: true},
		"longer":     {change: func(name string) error { return os.Truncate(name, size+1) }, want: "had 3145728 bytes and has 3145729"},
		"shorter":    {change: func(name string) error { return os.Truncate(name, size-1) }, want: "it became shorter"},
		"content, and its time set back": {change: func(name string) error {
			return errors.Join(overwrite(name), os.Chtimes(name, old, old))
		}, want: "its content or attributes were set"},
	} {
		t.Run(name, func(t *testing.T) {
			p := blocktest.Bytes(7, size)
			if tt.sparse {
				p = nil
			}
			file := write(t, p, t.TempDir(), "memory")
			if err := errors.Join(os.Truncate(file, size), os.Chtimes(file, old, old)); err != nil {
				t.Fatal(err)
			}
			awaitTick(t, file)
			s := newStore()
			src := opened{fileSource{file}, func() error {
				if tt.change == nil {
					return nil
				}
				return tt.change(file)
			}}
			_, err := image.Publish(context.Background(), src, image.PublishOptions{Name: "x", Target: s})
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, name, err, file+" changed while it was being published")
			wantError(t, name, err, tt.want)
			if !errors.Is(err, rootfs.ErrChanged) || len(s.refs) != 0 {
				t.Errorf("error %v, refs %v", err, s.refs)
			}
		})
	}
}

// awaitTick returns when the clock of the file system, which moves in steps, is
// behind the last change of file.
func awaitTick(t *testing.T, file string) {
	t.Helper()
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); ; {
		now, err := os.Stat(write(t, nil, t.TempDir(), "tick"))
		if err != nil {
			t.Fatal(err)
		}
		if changeTime(now) != changeTime(before) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the file system's clock stands still")
		}
	}
}

// opened is a source that something happens to when it was opened.
type opened struct {
	image.Source
	then func() error
}

func (o opened) Open(ctx context.Context, report func(image.Progress)) (*image.Content, error) {
	c, err := o.Source.Open(ctx, report)
	if err != nil {
		return nil, err
	}
	if err := o.then(); err != nil {
		return nil, errors.Join(err, c.Bytes.Close())
	}
	return c, nil
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
