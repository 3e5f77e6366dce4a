package erofs

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// errNone is apart from the ends that a source may report.
var errNone = fmt.Errorf("erofs: no more of it: %w", io.EOF)

// SeekData returns where, from off on, the first byte of a file lies that is in no
// hole, and an error that matches io.EOF where there is none.
func (m *Image) SeekData(ctx context.Context, i Inode, off int64) (int64, error) {
	return m.seek(ctx, i, off, func(r run) bool { return r.at != hole })
}

// SeekHole returns where, from off on, the first hole of a file begins. The end of
// a file counts as one; from there on the error matches
// io.EOF.
func (m *Image) SeekHole(ctx context.Context, i Inode, off int64) (int64, error) {
	at, err := m.seek(ctx, i, off, func(r run) bool { return r.at == hole })
	if errors.Is(err, errNone) && off >= 0 && off < i.Size {
		return i.Size, nil
	}
	return at, err
}

func (m *Image) seek(ctx context.Context, i Inode, off int64, found func(run) bool) (int64, error) {
	if off < 0 {
		return 0, errNone
	}
	for off < i.Size {
		r, err := m.run(ctx, i, off, i.Size)
		if err != nil {
			return 0, fmt.Errorf("erofs: inode %d: %w", i.Nid, err)
		}
		if found(r) {
			return off, nil
		}
		off += r.n
	}
	return 0, errNone
}
