package erofs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

var (
	// ErrMalformed: the bytes are no EROFS image, or contradict themselves.
	ErrMalformed = errors.New("malformed EROFS image")
	// ErrUnsupported: the image uses a feature of EROFS that this package does not read.
	ErrUnsupported = errors.New("unsupported EROFS image")
)

// A Source is the bytes of an image, with [io.ReaderAt]'s contract.
type Source interface {
	ReadAtContext(ctx context.Context, p []byte, off int64) (int, error)
}

// Local makes a Source of what reads without a context, a file for example.
func Local(r io.ReaderAt) Source { return local{r} }

type local struct{ io.ReaderAt }

func (l local) ReadAtContext(ctx context.Context, p []byte, off int64) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	return l.ReadAt(p, off)
}

// The format is that of the kernel's Documentation/filesystems/erofs.rst and
// fs/erofs/erofs_fs.h. Everything is little-endian.
var le = binary.LittleEndian

const (
	superOffset = 1024
	superSize   = 128
	superMagic  = 0xe0f5e1e2

	// Without these an image is read. Zero padding concerns compressed files only,
	// and those are refused one by one.
	incompatZeroPadding = 0x1
	incompatChunked     = 0x4
)

// An Image is an EROFS file system.
type Image struct {
	src   Source
	size  int64
	meta  *pieces
	super super
}

// A super is what the superblock says.
type super struct {
	blockBits uint8
	root      uint64
	inodes    uint64
	builtAt   int64
	builtNs   uint32
	metaAt    int64 // where nid 0 would lie
	sharedAt  int64 // where shared attribute 0 would lie
}

// Open reads the superblock and the root inode of an image of size bytes.
func Open(ctx context.Context, src Source, size int64) (*Image, error) {
	m := &Image{src: src, size: size}
	var err error
	if m.meta, err = newPieces(src, size); err != nil {
		return nil, fmt.Errorf("erofs: %w", err)
	}
	if size < superOffset+superSize {
		return nil, fmt.Errorf("erofs: %w: %d bytes are too few", ErrMalformed, size)
	}
	p, err := m.meta.view(ctx, superOffset, superSize)
	if err != nil {
		return nil, fmt.Errorf("erofs: superblock: %w", err)
	}
	if err := m.super.decode(p); err != nil {
		return nil, fmt.Errorf("erofs: superblock: %w", err)
	}
	root, err := m.Inode(ctx, m.super.root)
	if err != nil {
		return nil, err
	}
	if !root.IsDir() {
		return nil, fmt.Errorf("erofs: root: %w: mode %o is no directory's", ErrMalformed, root.Mode)
	}
	return m, nil
}

func (s *super) decode(p []byte) error {
	if le.Uint32(p[0:]) != superMagic {
		return fmt.Errorf("%w: no magic number", ErrMalformed)
	}
	if s.blockBits = p[12]; s.blockBits < 9 || s.blockBits > 16 {
		return fmt.Errorf("%w: blocks of 2^%d bytes", ErrMalformed, s.blockBits)
	}
	if f := le.Uint32(p[80:]) &^ (incompatZeroPadding | incompatChunked); f != 0 {
		return fmt.Errorf("%w: features %#x (compression, devices or a later format)", ErrUnsupported, f)
	}
	if p[90] != 0 {
		return fmt.Errorf("%w: directory blocks of their own size", ErrUnsupported)
	}
	s.root = uint64(le.Uint16(p[14:]))
	s.inodes = le.Uint64(p[16:])
	s.builtAt, s.builtNs = int64(le.Uint64(p[24:])), le.Uint32(p[32:])
	s.metaAt = int64(le.Uint32(p[40:])) << s.blockBits
	s.sharedAt = int64(le.Uint32(p[44:])) << s.blockBits
	return nil
}

// Size returns the bytes of the image.
func (m *Image) Size() int64 { return m.size }

// BlockSize returns the bytes of a block.
func (m *Image) BlockSize() int64 { return 1 << m.super.blockBits }

// Inodes returns how many inodes the image says it has.
func (m *Image) Inodes() uint64 { return m.super.inodes }

// Root returns the nid of the root directory.
func (m *Image) Root() uint64 { return m.super.root }
