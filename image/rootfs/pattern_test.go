package rootfs

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"testing"
)

// A pattern is left bytes without a zero among them, which repeat only after a
// length that is prime to every block size.
type pattern struct{ pos, left int64 }

var patternTable = func() []byte {
	p := make([]byte, 1<<20-3)
	x := uint64(1)
	for i := range p {
		x = x*6364136223846793005 + 1442695040888963407
		p[i] = byte(x>>56) | 1
	}
	return p
}()

func (p *pattern) Read(out []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	if int64(len(out)) > p.left {
		out = out[:p.left]
	}
	n := copy(out, patternTable[p.pos%int64(len(patternTable)):])
	p.pos += int64(n)
	p.left -= int64(n)
	return n, nil
}

// largeLayer is a tar stream of one file of size bytes, and a small one behind it.
func largeLayer(tb testing.TB, size int64) io.Reader {
	tb.Helper()
	var head bytes.Buffer
	w := tar.NewWriter(&head)
	hdr := item{name: "large"}.header()
	hdr.Size = size
	if err := w.WriteHeader(hdr); err != nil {
		tb.Fatal(err)
	}
	pad := make([]byte, align(size, 512)-size)
	return io.MultiReader(&head, &pattern{left: size}, bytes.NewReader(pad), bytes.NewReader(makeLayer(tb, fileItem("small", "end"))))
}

func equalReaders(a, b io.Reader) error {
	p, q := make([]byte, 1<<20), make([]byte, 1<<20)
	for {
		n, err := io.ReadFull(a, p)
		m, err2 := io.ReadFull(b, q)
		if n != m || !bytes.Equal(p[:n], q[:m]) {
			return errors.New("contents differ")
		}
		if err != nil && err2 != nil {
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				return nil
			}
			return err
		}
	}
}
