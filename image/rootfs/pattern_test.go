package rootfs

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"testing"
)

// A pattern is left bytes that are not zero and do not repeat within a block.
type pattern struct{ pos, left int64 }

func (p *pattern) Read(out []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(out)), p.left))
	for i := range n {
		x := uint64(p.pos+int64(i)) / 8 * 0x9e3779b97f4a7c15
		out[i] = byte(x>>(8*(uint(p.pos+int64(i))%8))) | 1
	}
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
