package erofs

import (
	"context"
	"errors"
	"fmt"
	"io"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	pieceBits = 16 // as large as the largest block, so that no block straddles two
	pieceSize = 1 << pieceBits
	keepBytes = 16 << 20 // the metadata of an image of 100,000 files
)

// pieces is the metadata of an image as far as it was read lately.
type pieces struct {
	src  Source
	size int64
	kept *lru.Cache[int64, []byte]
}

func newPieces(src Source, size int64) (*pieces, error) {
	kept, err := lru.New[int64, []byte](keepBytes / pieceSize)
	return &pieces{src: src, size: size, kept: kept}, err
}

// view returns n bytes at off, which must not be written to.
func (c *pieces) view(ctx context.Context, off, n int64) ([]byte, error) {
	if off < 0 || n < 0 || off > c.size || n > c.size-off {
		return nil, fmt.Errorf("%w: %d bytes at %d where it has %d", ErrMalformed, n, off, c.size)
	}
	within := off & (pieceSize - 1)
	p, err := c.piece(ctx, off>>pieceBits)
	if err != nil {
		return nil, err
	}
	if within+n <= int64(len(p)) {
		return p[within : within+n : within+n], nil
	}
	out := append(make([]byte, 0, n), p[within:]...)
	for i := off>>pieceBits + 1; int64(len(out)) < n; i++ {
		if p, err = c.piece(ctx, i); err != nil {
			return nil, err
		}
		out = append(out, p[:min(n-int64(len(out)), int64(len(p)))]...)
	}
	return out, nil
}

// piece returns piece i. Two who miss it at once both read it: the blocks beneath
// are read once all the same, and no caller waits for another's context.
func (c *pieces) piece(ctx context.Context, i int64) ([]byte, error) {
	if p, ok := c.kept.Get(i); ok {
		return p, nil
	}
	p := make([]byte, min(pieceSize, c.size-i<<pieceBits))
	if err := readFull(ctx, c.src, p, i<<pieceBits); err != nil {
		return nil, err
	}
	c.kept.Add(i, p)
	return p, nil
}

// readFull reads what is known to be there, so an end of the source is an error.
func readFull(ctx context.Context, src Source, p []byte, off int64) error {
	n, err := src.ReadAtContext(ctx, p, off)
	switch {
	case n == len(p):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%d bytes at %d: %w", len(p), off, err)
}
