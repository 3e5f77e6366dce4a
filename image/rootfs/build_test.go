package rootfs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
)

// newBuilder returns a Builder that the test closes.
func newBuilder(tb testing.TB, opts Options) *Builder {
	tb.Helper()
	if opts.SpoolDir == "" {
		opts.SpoolDir = tb.TempDir()
	}
	b, err := NewBuilder(opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return b
}

func finish(tb testing.TB, b *Builder) *Image {
	tb.Helper()
	img, err := b.Finish(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return img
}

// fromLayers builds an image of tar layers.
func fromLayers(tb testing.TB, layers ...[]byte) *Image {
	tb.Helper()
	b := newBuilder(tb, Options{})
	for i, layer := range layers {
		if err := b.AddTar(tb.Context(), bytes.NewReader(layer)); err != nil {
			tb.Fatalf("layer %d: %v", i+1, err)
		}
	}
	return finish(tb, b)
}

// fromDir builds an image of a directory.
func fromDir(tb testing.TB, dir string, opts Options) *Image {
	tb.Helper()
	b := newBuilder(tb, opts)
	if err := b.AddDir(tb.Context(), dir); err != nil {
		tb.Fatal(err)
	}
	return finish(tb, b)
}

// toFile streams img into a new file and returns its name.
func toFile(tb testing.TB, img *Image) string {
	tb.Helper()
	name := filepath.Join(tb.TempDir(), "image.erofs")
	f, err := os.Create(name)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	if err := img.Stream(tb.Context(), f); err != nil {
		tb.Fatal(err)
	}
	st, err := f.Stat()
	if err != nil {
		tb.Fatal(err)
	}
	if st.Size() != img.Size() {
		tb.Fatalf("streamed %d bytes, Size says %d", st.Size(), img.Size())
	}
	return name
}

// open reads an image file through go-erofs.
func open(tb testing.TB, name string) *FS {
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
	fsys, err := Open(f, st.Size())
	if err != nil {
		tb.Fatal(err)
	}
	return fsys
}

// digest streams img and returns the SHA-256 of its bytes.
func digest(tb testing.TB, img *Image) [32]byte {
	tb.Helper()
	sum := sha256.New()
	if err := img.Stream(context.Background(), sum); err != nil {
		tb.Fatal(err)
	}
	return [32]byte(sum.Sum(nil))
}
