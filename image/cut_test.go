package image

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/zonecache/cached/block/blocktest"
)

// pieces cuts what r yields and returns the lengths and the bytes.
func pieces(t *testing.T, r io.Reader, starts []int64) (lengths []int, all []byte) {
	t.Helper()
	c, err := NewCutter(r, starts)
	if err != nil {
		t.Fatal(err)
	}
	for {
		p, err := c.Next()
		if errors.Is(err, io.EOF) {
			return lengths, all
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Bytes) == 0 || len(p.Bytes) > window {
			t.Fatalf("piece of %d bytes", len(p.Bytes))
		}
		if p.Zero != (len(p.Bytes) == window && allZero(p.Bytes)) {
			t.Fatalf("piece of %d bytes at %d is labelled zero: %v", len(p.Bytes), len(all), p.Zero)
		}
		lengths, all = append(lengths, len(p.Bytes)), append(all, p.Bytes...)
	}
}

func TestCutsDependOnBytesOnly(t *testing.T) {
	in := mixed(1, 7<<20+4711)
	clear(in[2<<20-100 : 5<<20+100])
	want, all := pieces(t, bytes.NewReader(in), nil)
	if !bytes.Equal(all, in) {
		t.Fatal("the pieces are not the stream")
	}
	for name, r := range map[string]io.Reader{
		"halves": iotest.HalfReader(bytes.NewReader(in)), "data with EOF": iotest.DataErrReader(bytes.NewReader(in)),
		"hole": &holed{Reader: bytes.NewReader(in), from: 2 << 20, to: 5 << 20},
	} {
		got, all := pieces(t, r, nil)
		if !slices.Equal(got, want) || !bytes.Equal(all, in) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// holed says that a stretch of its zeros is a hole.
type holed struct {
	*bytes.Reader
	from, to int64
}

func (h *holed) SkipHole(n int64) (bool, error) {
	at, err := h.Seek(0, io.SeekCurrent)
	if err != nil || at < h.from || at+n > h.to {
		return false, err
	}
	_, err = h.Seek(n, io.SeekCurrent)
	return true, err
}

func TestEdgeSizesAreCut(t *testing.T) {
	for _, n := range []int{0, 1, defaultCut.min - 1, defaultCut.min, defaultCut.max, defaultCut.max + 1, window - 1, window, window + 1, 2 * window, 3*window + 5} {
		for _, in := range [][]byte{blocktest.Bytes(3, n), make([]byte, n)} {
			lengths, all := pieces(t, bytes.NewReader(in), nil)
			if !bytes.Equal(all, in) {
				t.Errorf("%d bytes: pieces %v are not the stream", n, lengths)
			}
		}
	}
}

func TestCutAtStarts(t *testing.T) {
	in := mixed(2, 5<<20)
	clear(in[3<<20 : 4<<20])
	starts := []int64{0, 4096, 1 << 20, 2<<20 + 8192, 3<<20 + 4096, 4<<20 + 1, 5 << 20, 6 << 20}
	lengths, all := pieces(t, bytes.NewReader(in), starts)
	if !bytes.Equal(all, in) {
		t.Fatal("the pieces are not the stream")
	}
	var cuts []int64
	var at int64
	for _, n := range lengths {
		cuts = append(cuts, at)
		at += int64(n)
	}
	for _, s := range starts {
		inZeros := s > 3<<20 && s < 4<<20
		if s < int64(len(in)) && !inZeros && !slices.Contains(cuts, s) {
			t.Errorf("no cut at %d", s)
		}
	}
}

func TestChangeMovesTheCutsAroundItOnly(t *testing.T) {
	in := blocktest.Bytes(5, 8<<20)
	changed := slices.Concat(in[:3<<20], []byte("eleven more"), in[3<<20:])
	a, _ := pieces(t, bytes.NewReader(in), nil)
	b, _ := pieces(t, bytes.NewReader(changed), nil)
	slices.Sort(a)
	slices.Sort(b)
	same := 0
	for _, n := range a {
		if _, ok := slices.BinarySearch(b, n); ok {
			same++
		}
	}
	if same < len(a)-3 {
		t.Errorf("%d of %d pieces survive an insertion", same, len(a))
	}
}

func TestReadErrorEndsTheCut(t *testing.T) {
	c, err := NewCutter(io.MultiReader(bytes.NewReader(blocktest.Bytes(1, 3<<20)), iotest.ErrReader(io.ErrNoProgress)), nil)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = c.Next()
	}
	if !errors.Is(err, io.ErrNoProgress) {
		t.Fatalf("error %v", err)
	}
}

func TestPagesAreCutOnAGrid(t *testing.T) {
	in := mixed(2, 5<<20+4711)
	clear(in[2<<20 : 4<<20])
	for name, r := range map[string]io.Reader{"whole": bytes.NewReader(in), "halves": iotest.HalfReader(bytes.NewReader(in))} {
		c := newPages(r)
		at := 0
		for {
			p, err := c.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			want := min(pages, len(in)-at)
			if at >= 2<<20 && at < 4<<20 {
				want = window // zeros
			}
			if len(p.Bytes) != want || p.Zero != (want == window) || !bytes.Equal(p.Bytes, in[at:at+want]) {
				t.Fatalf("%s: piece of %d bytes at %d, want %d", name, len(p.Bytes), at, want)
			}
			at += want
		}
		if at != len(in) {
			t.Errorf("%s: ends at %d of %d", name, at, len(in))
		}
	}
}
