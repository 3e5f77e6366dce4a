package erofs

import (
	"context"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

const (
	chunkBitsMask = 0x1f
	chunkIndexes  = 0x20 // 8 bytes for each chunk, with a device; else 4
	noBlock       = 1<<32 - 1
	targetMax     = 4096 // bytes of a symbolic link's target: PATH_MAX
)

// hole is where the bytes of a hole lie.
const hole = -1

// A run is bytes that lie one behind the other in the image.
type run struct {
	at int64 // or hole
	n  int64
}

// run returns where the bytes of i from off on lie, as many as lie together, at
// most want where finding that out takes reading. off is within the file.
func (m *Image) run(ctx context.Context, i Inode, off, want int64) (run, error) {
	start := int64(i.addr) << m.super.blockBits
	switch i.layout {
	case layoutPlain:
		return m.checkRun(run{start + off, i.Size - off})
	case layoutInline:
		tail := i.Size &^ (m.BlockSize() - 1)
		if off < tail {
			return m.checkRun(run{start + off, tail - off})
		}
		return m.checkRun(run{i.tailAt + off - tail, i.Size - off})
	}
	var r run
	for r.n < want && off+r.n < i.Size {
		next, err := m.chunk(ctx, i, off+r.n)
		if err != nil {
			return run{}, err
		}
		switch {
		case r.n == 0:
			r = next
		case r.at == hole && next.at == hole, r.at != hole && next.at == r.at+r.n:
			r.n += next.n
		default:
			return m.checkRun(r)
		}
	}
	return m.checkRun(r)
}

// chunk returns the rest of the chunk that holds the byte at off.
func (m *Image) chunk(ctx context.Context, i Inode, off int64) (run, error) {
	if i.addr&^(chunkBitsMask|chunkIndexes) != 0 {
		return run{}, fmt.Errorf("%w: chunk format %#x", ErrUnsupported, i.addr)
	}
	bits := int64(m.super.blockBits) + int64(i.addr&chunkBitsMask)
	unit := int64(4)
	if i.addr&chunkIndexes != 0 {
		unit = 8
	}
	number, within := off>>bits, off&(1<<bits-1)
	if number > m.size/unit {
		return run{}, fmt.Errorf("%w: chunk %d would be described behind the end", ErrMalformed, number)
	}
	p, err := m.meta.view(ctx, (i.tailAt+unit-1)&^(unit-1)+number*unit, unit)
	if err != nil {
		return run{}, err
	}
	if unit == 8 {
		if le.Uint32(p) != 0 && le.Uint32(p[4:]) != noBlock {
			return run{}, fmt.Errorf("%w: a chunk on another device", ErrUnsupported)
		}
		p = p[4:]
	}
	r := run{at: hole, n: min(1<<bits-within, i.Size-off)}
	if block := le.Uint32(p); block != noBlock {
		r.at = int64(block)<<m.super.blockBits + within
	}
	return r, nil
}

func (m *Image) checkRun(r run) (run, error) {
	if r.at != hole && (r.at > m.size || r.n > m.size-r.at) {
		return run{}, fmt.Errorf("%w: contents at %d where it has %d bytes", ErrMalformed, r.at, m.size)
	}
	return r, nil
}

// ReadAt reads the content of a regular file from off on. As [io.ReaderAt] has it,
// fewer than len(p) bytes come with an error, io.EOF where the file ends.
func (m *Image) ReadAt(ctx context.Context, i Inode, p []byte, off int64) (int, error) {
	if off < 0 || i.Type() != unix.S_IFREG {
		return 0, fmt.Errorf("erofs: inode %d: no content at %d of a file of mode %o", i.Nid, off, i.Mode)
	}
	if off >= i.Size {
		return 0, io.EOF
	}
	var end error
	if rest := i.Size - off; int64(len(p)) > rest {
		p, end = p[:rest], io.EOF
	}
	for done := 0; done < len(p); {
		left := int64(len(p) - done)
		r, err := m.run(ctx, i, off+int64(done), left)
		if err == nil {
			part := p[done : done+int(min(r.n, left))]
			if r.at == hole {
				clear(part)
			} else {
				err = readFull(ctx, m.src, part, r.at)
			}
			done += len(part)
		}
		if err != nil {
			return 0, fmt.Errorf("erofs: inode %d: %w", i.Nid, err)
		}
	}
	return len(p), end
}

// Readlink returns the target of a symbolic link.
func (m *Image) Readlink(ctx context.Context, i Inode) (string, error) {
	if i.Type() != unix.S_IFLNK || i.Size == 0 || i.Size > targetMax {
		return "", fmt.Errorf("erofs: inode %d: %w: a target of %d bytes, mode %o", i.Nid, ErrMalformed, i.Size, i.Mode)
	}
	r, err := m.run(ctx, i, 0, i.Size)
	if err == nil && (r.at == hole || r.n < i.Size) {
		err = fmt.Errorf("%w: a target in pieces", ErrMalformed)
	}
	var p []byte
	if err == nil {
		p, err = m.meta.view(ctx, r.at, i.Size)
	}
	if err != nil {
		return "", fmt.Errorf("erofs: inode %d: %w", i.Nid, err)
	}
	return string(p), nil
}
