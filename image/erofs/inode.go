package erofs

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	slotSize     = 32 // a nid counts these
	compactSize  = 32
	extendedSize = 64

	layoutPlain   = 0
	layoutInline  = 2
	layoutChunked = 4

	xattrHeaderSize = 12
	xattrUnit       = 4
)

// An Inode is a file, directory, link or node, except its name and contents.
type Inode struct {
	Nid      uint64
	Mode     uint32 // type and permissions as in stat(2)
	Size     int64  // content, target, or entries in the form that the image has them
	UID, GID uint32
	Nlink    uint32
	Rdev     uint32 // device nodes: as the kernel and FUSE encode them
	Mtime    int64  // seconds
	MtimeNs  uint32

	layout uint8
	addr   uint32 // first block, or the format of chunks
	attrAt int64  // where the extended attributes begin
	tailAt int64  // where they end
}

// Type returns the S_IFMT bits of the mode.
func (i Inode) Type() uint32 { return i.Mode & unix.S_IFMT }

// IsDir reports whether i is a directory.
func (i Inode) IsDir() bool { return i.Type() == unix.S_IFDIR }

// Inode returns the inode with the number nid.
func (m *Image) Inode(ctx context.Context, nid uint64) (Inode, error) {
	i, err := m.inode(ctx, nid)
	if err != nil {
		return Inode{}, fmt.Errorf("erofs: inode %d: %w", nid, err)
	}
	return i, nil
}

func (m *Image) inode(ctx context.Context, nid uint64) (Inode, error) {
	if nid > uint64(m.size)/slotSize {
		return Inode{}, fmt.Errorf("%w: it would lie behind the end", ErrMalformed)
	}
	at := m.super.metaAt + int64(nid)*slotSize
	p, err := m.meta.view(ctx, at, compactSize)
	if err != nil {
		return Inode{}, err
	}
	format := le.Uint16(p)
	if format>>4 != 0 {
		return Inode{}, fmt.Errorf("%w: inode format %#x", ErrUnsupported, format)
	}
	i := Inode{Nid: nid, layout: uint8(format >> 1), Mode: uint32(le.Uint16(p[4:]))}
	i.addr = le.Uint32(p[16:])
	i.attrAt = at + compactSize
	if format&1 == 0 {
		i.Nlink = uint32(le.Uint16(p[6:]))
		i.Size = int64(le.Uint32(p[8:]))
		i.UID, i.GID = uint32(le.Uint16(p[24:])), uint32(le.Uint16(p[26:]))
		i.Mtime, i.MtimeNs = m.super.builtAt+int64(le.Uint32(p[12:])), m.super.builtNs
	} else {
		if p, err = m.meta.view(ctx, at, extendedSize); err != nil {
			return Inode{}, err
		}
		i.attrAt = at + extendedSize
		i.Size = int64(le.Uint64(p[8:]))
		i.UID, i.GID = le.Uint32(p[24:]), le.Uint32(p[28:])
		i.Mtime, i.MtimeNs = int64(le.Uint64(p[32:])), le.Uint32(p[40:])
		i.Nlink = le.Uint32(p[44:])
	}
	i.tailAt = i.attrAt
	if n := int64(le.Uint16(p[2:])); n > 0 {
		i.tailAt += xattrHeaderSize + (n-1)*xattrUnit
	}
	return i, m.check(&i)
}

// check refuses what the rest of the package could not work with.
func (m *Image) check(i *Inode) error {
	switch i.Type() {
	case unix.S_IFREG, unix.S_IFDIR, unix.S_IFLNK:
	case unix.S_IFCHR, unix.S_IFBLK:
		i.Rdev = i.addr
	case unix.S_IFIFO, unix.S_IFSOCK:
	default:
		return fmt.Errorf("%w: mode %o", ErrMalformed, i.Mode)
	}
	switch i.layout {
	case layoutPlain, layoutInline, layoutChunked:
	default:
		return fmt.Errorf("%w: layout %d (compressed contents)", ErrUnsupported, i.layout)
	}
	if i.Size < 0 || i.MtimeNs >= 1e9 {
		return fmt.Errorf("%w: size %d, nanoseconds %d", ErrMalformed, i.Size, i.MtimeNs)
	}
	return nil
}
