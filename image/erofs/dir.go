package erofs

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"iter"
	"sort"

	"golang.org/x/sys/unix"
)

const (
	direntSize = 12
	nameMax    = 255
)

// A Dirent is a name in a directory.
type Dirent struct {
	Name string
	Nid  uint64
	Type uint32 // S_IFMT bits, 0 where the image does not say
	Next int64  // the position behind it, for [Image.ReadDir]
}

// types are the S_IFMT bits of EROFS_FT_*.
var types = [...]uint32{
	0, unix.S_IFREG, unix.S_IFDIR, unix.S_IFCHR, unix.S_IFBLK, unix.S_IFIFO, unix.S_IFSOCK, unix.S_IFLNK,
}

// Lookup returns the nid that name has in a directory; where there is no such name
// the error matches fs.ErrNotExist. Names are in order, over all blocks of a
// directory, so a large one costs a few blocks more than a small one.
func (m *Image) Lookup(ctx context.Context, dir Inode, name string) (uint64, error) {
	var failed error
	blocks := int((dir.Size + m.BlockSize() - 1) >> m.super.blockBits)
	if !dir.IsDir() {
		return 0, fmt.Errorf("erofs: inode %d: mode %o is no directory's", dir.Nid, dir.Mode)
	}
	// The last block whose first name is not behind the name looked for.
	n := sort.Search(blocks, func(n int) bool {
		if failed != nil {
			return true
		}
		b, err := m.direntBlock(ctx, dir, int64(n))
		if err != nil {
			failed = err
			return true
		}
		first, err := b.name(0)
		failed = err
		return failed != nil || string(first) > name
	})
	if failed == nil && n > 0 {
		var nid uint64
		nid, failed = m.find(ctx, dir, int64(n-1), name)
		if failed == nil {
			return nid, nil
		}
	}
	if failed == nil {
		failed = fs.ErrNotExist
	}
	return 0, fmt.Errorf("erofs: inode %d: name %q: %w", dir.Nid, name, failed)
}

// find looks for name in block n of a directory.
func (m *Image) find(ctx context.Context, dir Inode, n int64, name string) (uint64, error) {
	b, err := m.direntBlock(ctx, dir, n)
	if err != nil {
		return 0, err
	}
	var failed error
	i, found := sort.Find(b.count, func(i int) int {
		held, err := b.name(i)
		if err != nil {
			failed = err
		}
		return bytes.Compare([]byte(name), held)
	})
	switch {
	case failed != nil:
		return 0, failed
	case !found:
		return 0, fs.ErrNotExist
	}
	return le.Uint64(b.p[i*direntSize:]), nil
}

// ReadDir yields the names in a directory, "." and ".." among them, in the order
// of their bytes from the position pos on: 0, or the Next of a name. It stops
// behind the first error.
func (m *Image) ReadDir(ctx context.Context, dir Inode, pos int64) iter.Seq2[Dirent, error] {
	return func(yield func(Dirent, error) bool) {
		fail := func(err error) { yield(Dirent{}, fmt.Errorf("erofs: inode %d: %w", dir.Nid, err)) }
		if !dir.IsDir() || pos < 0 {
			fail(fmt.Errorf("mode %o, position %d: not in a directory", dir.Mode, pos))
			return
		}
		mask := m.BlockSize() - 1
		for pos < dir.Size {
			b, err := m.direntBlock(ctx, dir, pos>>m.super.blockBits)
			if err != nil {
				fail(err)
				return
			}
			next := pos&^mask + m.BlockSize()
			for i := int((pos & mask) / direntSize); i < b.count; i++ {
				d, err := b.entry(i)
				if err != nil {
					fail(err)
					return
				}
				if d.Next = pos&^mask + int64(i+1)*direntSize; i == b.count-1 {
					d.Next = next
				}
				if !yield(d, nil) {
					return
				}
			}
			pos = next
		}
	}
}

// A direntBlock is a block of a directory: fixed parts, then names.
type direntBlock struct {
	p     []byte
	count int
}

func (m *Image) direntBlock(ctx context.Context, dir Inode, n int64) (direntBlock, error) {
	off := n << m.super.blockBits
	size := min(m.BlockSize(), dir.Size-off)
	r, err := m.run(ctx, dir, off, size)
	if err != nil {
		return direntBlock{}, err
	}
	if r.at == hole || r.n < size || size < direntSize {
		return direntBlock{}, fmt.Errorf("%w: directory block %d of %d bytes", ErrMalformed, n, size)
	}
	p, err := m.meta.view(ctx, r.at, size)
	if err != nil {
		return direntBlock{}, err
	}
	names := int(le.Uint16(p[8:]))
	if names < direntSize || names%direntSize != 0 || names > len(p) {
		return direntBlock{}, fmt.Errorf("%w: directory block %d has its names at %d", ErrMalformed, n, names)
	}
	return direntBlock{p, names / direntSize}, nil
}

// name returns the name of entry i. The last one ends at a zero or with the block.
func (b direntBlock) name(i int) ([]byte, error) {
	from, to := int(le.Uint16(b.p[i*direntSize+8:])), len(b.p)
	if i+1 < b.count {
		to = int(le.Uint16(b.p[(i+1)*direntSize+8:]))
	}
	if from < b.count*direntSize || to < from || to > len(b.p) {
		return nil, fmt.Errorf("%w: a name from %d to %d of %d bytes", ErrMalformed, from, to, len(b.p))
	}
	name := b.p[from:to]
	if i+1 == b.count {
		if end := bytes.IndexByte(name, 0); end >= 0 {
			name = name[:end]
		}
	}
	if len(name) == 0 || len(name) > nameMax || bytes.IndexByte(name, '/') >= 0 || bytes.IndexByte(name, 0) >= 0 {
		return nil, fmt.Errorf("%w: %.300q is no name", ErrMalformed, name)
	}
	return name, nil
}

func (b direntBlock) entry(i int) (Dirent, error) {
	name, err := b.name(i)
	if err != nil {
		return Dirent{}, err
	}
	fixed := b.p[i*direntSize:]
	d := Dirent{Name: string(name), Nid: le.Uint64(fixed)}
	if kind := int(fixed[10]); kind < len(types) {
		d.Type = types[kind]
	}
	return d, nil
}
