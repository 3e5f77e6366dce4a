package image

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
)

func openReader(t testing.TB, m *Manifest, from block.Reader, opts ReaderOptions) *Reader {
	t.Helper()
	r, err := NewReader(m, from, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestReadsAnywhere(t *testing.T) {
	in, reads, copies := mixed(1, 6<<20+123), 60, 20
	if figure.Instrumented {
		reads, copies = 20, 5
	}
	s := newStore()
	m, _ := mustPublish(t, s, "x", bytesSource(in))
	for _, opts := range []ReaderOptions{{}, {Keep: 1, Parallel: 1}, {Keep: -1, Parallel: 3}} {
		r := openReader(t, m, s, opts)
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(g), 7))
				for range reads {
					off := rng.IntN(len(in))
					p := make([]byte, 1+rng.IntN([]int{100, 50_000, 3 << 20}[rng.IntN(3)]))
					n, err := r.ReadAt(p, int64(off))
					if (err != nil && !errors.Is(err, io.EOF)) || (n < len(p)) != (err != nil) {
						t.Errorf("ReadAt(%d bytes, %d) = %d, %v", len(p), off, n, err)
						return
					}
					if !bytes.Equal(p[:n], in[off:off+n]) {
						t.Errorf("ReadAt(%d bytes, %d): wrong bytes", len(p), off)
						return
					}
				}
			})
		}
		wg.Wait()
		for range copies {
			off := rand.IntN(len(in))
			n := rand.IntN(len(in) - off)
			var out bytes.Buffer
			if got, err := r.CopyRange(context.Background(), &out, int64(off), int64(n)); err != nil || got != int64(n) || !bytes.Equal(out.Bytes(), in[off:off+n]) {
				t.Fatalf("CopyRange(%d, %d) = %d, %v", off, n, got, err)
			}
		}
	}
}

func TestReadsPastTheEnd(t *testing.T) {
	s := newStore()
	m, _ := mustPublish(t, s, "x", bytesSource("hello"))
	r := openReader(t, m, s, ReaderOptions{})
	p := make([]byte, 10)
	if n, err := r.ReadAt(p, 2); n != 3 || err != io.EOF { //nolint:errorlint // an io.ReaderAt returns io.EOF itself
		t.Errorf("over the end: %d, %v", n, err)
	}
	if n, err := r.ReadAt(p, 5); n != 0 || err != io.EOF { //nolint:errorlint // an io.ReaderAt returns io.EOF itself
		t.Errorf("at the end: %d, %v", n, err)
	}
	var re *RangeError
	if _, err := r.ReadAt(p, -1); !errors.As(err, &re) {
		t.Errorf("before the start: %v", err)
	}
	if n, err := r.CopyRange(context.Background(), io.Discard, 3, 3); n != 0 || !errors.As(err, &re) || !strings.Contains(err.Error(), "offset 3") {
		t.Errorf("CopyRange over the end: %d, %v", n, err)
	}
}

func TestSmallReadsOfOneBlockReadItOnce(t *testing.T) {
	s := newStore()
	m, _ := mustPublish(t, s, "x", bytesSource(mixed(1, 1<<20)))
	r := openReader(t, m, s, ReaderOptions{})
	p := make([]byte, 100)
	for i := range 50 {
		if _, err := r.ReadAt(p, int64(i*100)); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.count("read"); n != 1 {
		t.Errorf("%d reads", n)
	}
}

// A medium that lies about a block gets an error that names the block, never
// wrong bytes.
func TestLyingBlocks(t *testing.T) {
	enc, err := newEncoder(1)
	if err != nil {
		t.Fatal(err)
	}
	short, bomb := enc.EncodeAll(make([]byte, 999), nil), enc.EncodeAll(make([]byte, 64<<20), nil)
	raw := bytes.Repeat([]byte("0123456789"), 100)
	huge, err := zstd.NewWriter(nil, zstd.WithWindowSize(64<<20))
	if err != nil {
		t.Fatal(err)
	}
	wide := huge.EncodeAll(make([]byte, 32<<20), nil)
	for name, stored := range map[string][]byte{
		"too short": short, "bomb": bomb, "wide window": wide, "no zstd": raw, "cut off": enc.EncodeAll(raw, nil)[:20],
	} {
		id := block.Sum(stored)
		m := &Manifest{MediaType: MediaTypeBytes, Size: 100_000, Blocks: []BlockRef{{ID: id, Stored: uint32(len(stored)), Length: 100_000, Encoding: Zstd}}}
		s := newStore()
		s.blocks[id] = stored
		r := openReader(t, m, s, ReaderOptions{})
		for _, n := range []int{10, 100_000} {
			if _, err := r.ReadAt(make([]byte, n), 0); !errors.Is(err, block.ErrCorrupt) || !strings.Contains(err.Error(), id.Hex()) {
				t.Errorf("%s, %d bytes: %v", name, n, err)
			}
		}
		if _, err := r.WriteTo(io.Discard); !errors.Is(err, block.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		m.Blocks[0].Stored++
		if _, err := r.ReadAt(make([]byte, 1), 0); !errors.Is(err, block.ErrCorrupt) {
			t.Errorf("%s, other stored length: %v", name, err)
		}
	}
}

func TestErrorsAndCancellationEndAStream(t *testing.T) {
	s := newStore()
	m, _ := mustPublish(t, s, "x", bytesSource(mixed(1, 8<<20)))
	r := openReader(t, m, s, ReaderOptions{})
	delete(s.blocks, m.Blocks[5].ID)
	n, err := r.WriteTo(io.Discard)
	if !errors.Is(err, block.ErrNotFound) || n != m.Offset(5) {
		t.Errorf("%d bytes before %v", n, err)
	}
	if _, err := r.ReadAt(make([]byte, 8<<20), 0); !errors.Is(err, block.ErrNotFound) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })
	if _, err := r.CopyRange(ctx, w, 0, m.Size); err == nil {
		t.Error("a cancelled copy succeeded")
	}
	if _, err := r.ReadAtContext(ctx, make([]byte, 3<<20), 0); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	broken := writerFunc(func(p []byte) (int, error) { return 1, io.ErrClosedPipe })
	if n, err := r.WriteTo(broken); n != 1 || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("broken pipe: %d, %v", n, err)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
