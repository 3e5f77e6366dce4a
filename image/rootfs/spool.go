package rootfs

import (
	"context"
	"fmt"
	"io"
	"os"
)

// copySize is the unit in which contents are moved.
const copySize = 1 << 20

// A source holds the contents of inodes.
type source interface {
	// copyTo writes the content of ino, holes left out, to w. buf has copySize bytes.
	copyTo(ctx context.Context, w io.Writer, ino *inode, buf []byte) error
	// renamed says that ino is about to get another path in the image.
	renamed(ino *inode)
}

// A spool holds the contents of layers in one file without a name, so that
// nothing is left behind whatever happens to the process.
type spool struct {
	f   *os.File
	end int64
	buf []byte
}

func newSpool(dir string) (*spool, error) {
	f, err := os.CreateTemp(dir, "cached-spool-*")
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("spool: %w", err)
	}
	return &spool{f: f, buf: make([]byte, copySize)}, nil
}

// add appends the size bytes of r as the content of ino. Chunks of zeros are
// recorded as holes and not stored; see holes for which they are.
func (s *spool) add(ctx context.Context, ino *inode, r io.Reader, size int64) error {
	ino.at, ino.size = s.end, size
	chunk := chunkSize(size)
	var found *holes
	var zeros int64 // zero bytes at the start of the current chunk, not yet stored
	for pos := int64(0); pos < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(copySize, size-pos)
		if _, err := io.ReadFull(r, s.buf[:n]); err != nil {
			return err
		}
		wasZero := allZero(s.buf[:n])
		first := pos&(chunk-1) == 0
		pos += n
		last := pos == size || pos&(chunk-1) == 0
		switch {
		case wasZero && (first || zeros > 0) && !last:
			zeros += n
		case wasZero && (first || zeros > 0) && size >= chunk:
			if found == nil {
				found = newHoles(size)
			}
			found.set((pos - 1) / chunk)
			zeros = 0
		default:
			s.end += zeros // reads as zeros: nothing was written there
			zeros = 0
			if _, err := s.f.WriteAt(s.buf[:n], s.end); err != nil {
				return fmt.Errorf("spool: %w", err)
			}
			s.end += n
		}
	}
	if found != nil {
		ino.ext().holes = found
	}
	return nil
}

func (s *spool) copyTo(ctx context.Context, w io.Writer, ino *inode, buf []byte) error {
	return copyRange(ctx, w, s.f, buf, extent{ino.at, stored(ino)})
}

func (s *spool) renamed(*inode) {}

func (s *spool) close() error { return s.f.Close() }

// An extent is a run of bytes of a file.
type extent struct{ off, len int64 }

// copyRange copies one extent of r to w; fewer bytes are an error.
func copyRange(ctx context.Context, w io.Writer, r io.ReaderAt, buf []byte, x extent) error {
	for x.len > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(x.len, int64(len(buf)))
		if got, err := r.ReadAt(buf[:n], x.off); int64(got) < n {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return &sinkError{err}
		}
		x.off += n
		x.len -= n
	}
	return nil
}

// A sinkError is the receiver's failure, which is none of the source's.
type sinkError struct{ err error }

func (e *sinkError) Error() string { return e.err.Error() }
func (e *sinkError) Unwrap() error { return e.err }
