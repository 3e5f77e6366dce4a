package erofs

import (
	"context"
	"fmt"
)

// An Xattr is an extended attribute under its whole name.
type Xattr struct{ Name, Value string }

const entrySize = 4

// prefix returns what the number of a name space stands for. The ACLs are whole
// names. As in the kernel, attributes of other name spaces do not exist.
func prefix(index uint8) (string, bool) {
	switch index {
	case 1:
		return "user.", true
	case 2:
		return "system.posix_acl_access", true
	case 3:
		return "system.posix_acl_default", true
	case 4:
		return "trusted.", true
	case 6:
		return "security.", true
	}
	return "", false
}

// Xattrs returns the extended attributes of an inode; most have none, which costs
// nothing to find out.
func (m *Image) Xattrs(ctx context.Context, i Inode) ([]Xattr, error) {
	if i.tailAt == i.attrAt {
		return nil, nil
	}
	list, err := m.xattrs(ctx, i)
	if err != nil {
		return nil, fmt.Errorf("erofs: attributes of inode %d: %w", i.Nid, err)
	}
	return list, nil
}

func (m *Image) xattrs(ctx context.Context, i Inode) ([]Xattr, error) {
	p, err := m.meta.view(ctx, i.attrAt, i.tailAt-i.attrAt)
	if err != nil {
		return nil, err
	}
	shared := int(p[4])
	p = p[xattrHeaderSize:]
	if len(p) < shared*4 {
		return nil, fmt.Errorf("%w: %d shared ones in %d bytes", ErrMalformed, shared, len(p))
	}
	var list []Xattr
	for n := range shared {
		x, known, err := m.shared(ctx, le.Uint32(p[n*4:]))
		if err != nil {
			return nil, err
		}
		if known {
			list = append(list, x)
		}
	}
	for p = p[shared*4:]; len(p) >= entrySize; {
		size := xattrSize(p)
		if size > len(p) {
			return nil, fmt.Errorf("%w: one of %d bytes in %d", ErrMalformed, size, len(p))
		}
		if x, known := decodeXattr(p); known {
			list = append(list, x)
		}
		p = p[min((size+3)&^3, len(p)):]
	}
	return list, nil
}

// shared returns an attribute that several inodes have.
func (m *Image) shared(ctx context.Context, id uint32) (Xattr, bool, error) {
	at := m.super.sharedAt + int64(id)*4
	p, err := m.meta.view(ctx, at, entrySize)
	if err != nil {
		return Xattr{}, false, err
	}
	if p, err = m.meta.view(ctx, at, int64(xattrSize(p))); err != nil {
		return Xattr{}, false, err
	}
	x, known := decodeXattr(p)
	return x, known, nil
}

// xattrSize returns the bytes of the entry that p begins with, padding apart.
func xattrSize(p []byte) int { return entrySize + int(p[0]) + int(le.Uint16(p[2:])) }

func decodeXattr(p []byte) (Xattr, bool) {
	space, known := prefix(p[1])
	names := entrySize + int(p[0])
	return Xattr{space + string(p[entrySize:names]), string(p[names:xattrSize(p)])}, known
}
