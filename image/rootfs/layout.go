package rootfs

import (
	"context"
	"crypto/sha256"
	"fmt"

	"golang.org/x/sys/unix"
)

// Finish gives every inode and file its place and returns the image. The Builder
// takes no further layers; close it when the image is no longer streamed.
func (b *Builder) Finish(ctx context.Context) (*Image, error) {
	if b.err != nil {
		return nil, b.err
	}
	if b.done {
		return nil, fmt.Errorf("rootfs: the image is finished already")
	}
	b.done = true
	img := &Image{sources: b.sources, stats: b.stats}
	img.collect(b.tree.root, b.tree.root)
	if err := img.place(); err != nil {
		return nil, fmt.Errorf("rootfs: %w", err)
	}
	// The UUID names the metadata, so that two images that overlayfs sees at
	// once differ, and the same image is the same everywhere.
	sum := sha256.New()
	if err := img.emitMeta(ctx, newEmitter(sum, blockSize)); err != nil {
		return nil, fmt.Errorf("rootfs: %w", err)
	}
	copy(img.super.uuid[:], sum.Sum(nil))
	img.super.uuid[6] = img.super.uuid[6]&0x0f | 0x80 // RFC 9562: version 8, custom
	img.super.uuid[8] = img.super.uuid[8]&0x3f | 0x80
	return img, nil
}

// collect lists the inodes in path order, counts links, and sorts directories.
func (img *Image) collect(dir, parent *inode) {
	sortDir(dir, parent)
	img.dirs = append(img.dirs, dir)
	img.stats.Dirs++
	dir.nlink = 2
	for _, d := range dir.more.sorted {
		ino := d.ino
		switch {
		case d.name == "." || d.name == "..":
		case ino.isDir():
			dir.nlink++
			img.collect(ino, dir)
		case ino.nlink > 0:
			ino.nlink++
			img.stats.Links++
		default:
			ino.nlink = 1
			if ino.parent != dir || ino.name != d.name {
				// A later layer took the name it was put at first.
				img.sources[ino.source].renamed(ino)
				ino.parent, ino.name = dir, d.name
			}
			img.files = append(img.files, ino)
			img.count(ino)
		}
	}
}

func (img *Image) count(ino *inode) {
	switch ino.mode & unix.S_IFMT {
	case unix.S_IFREG:
		img.stats.Files++
		img.stats.Bytes += ino.size
		img.stats.Holes += ino.size - stored(ino)
	case unix.S_IFLNK:
		img.stats.Symlinks++
	default:
		img.stats.Specials++
	}
}

// place lays the image out: superblock, directories, their whole blocks, the
// other inodes, contents.
func (img *Image) place() error {
	off := int64(blockSize)
	for _, dir := range img.dirs {
		measureDir(dir)
		off = placeInode(dir, off, int(dir.size%blockSize))
	}
	block := blocks(off)
	for _, dir := range img.dirs {
		n := blocks(dir.size)
		if dir.more.inline {
			n = dir.size / blockSize
		}
		if n > 0 {
			dir.block = uint32(block)
			block += n
		}
	}
	img.filesAt = block << blockBits
	off = img.filesAt
	for _, ino := range img.files {
		tail := 0
		if ino.isType(unix.S_IFLNK) {
			tail = int(ino.size)
		}
		off = placeInode(ino, off, tail)
	}
	block = blocks(off)
	img.dataAt = block << blockBits
	if off/slotSize > maxBlocks {
		return fmt.Errorf("%w: %d bytes of metadata", ErrUnsupported, off)
	}
	for _, ino := range img.files {
		n := blocks(contentSize(ino))
		if n == 0 {
			continue
		}
		if block+n > maxBlocks {
			return fmt.Errorf("%w: an image of more than %d bytes", ErrUnsupported, int64(maxBlocks)<<blockBits)
		}
		ino.block = uint32(block)
		block += n
		img.super.chunked = img.super.chunked || ino.holes() != nil
	}
	img.super.blocks = uint32(block)
	img.super.inodes = uint64(len(img.dirs) + len(img.files))
	img.stats.Metadata = img.dataAt
	return nil
}

// placeInode puts ino at off or a little behind, and returns the end of what it
// takes. No inode straddles two blocks. A tail stands behind the inode if it can
// be kept inside one block, which the format demands; otherwise it gets blocks of
// its own.
func placeInode(ino *inode, off int64, tail int) int64 {
	head := inodeSize + int64(xattrArea(ino.xattrs()))
	next := align(off, blockSize)
	if off%blockSize+inodeSize > blockSize {
		off = next
	}
	if tail > 0 {
		fits := func(at int64) bool { return (at+head)%blockSize+int64(tail) <= blockSize }
		switch {
		case fits(off):
			ino.more.inline = true
		case fits(next):
			off = next
			ino.more.inline = true
		}
	}
	ino.slot = uint32(off / slotSize)
	off += head
	if ino.more != nil && ino.more.inline {
		off += int64(tail)
	}
	if h := ino.holes(); h != nil {
		off = align(off, chunkIndexSize) + h.chunks*chunkIndexSize
	}
	return align(off, slotSize)
}

// contentSize returns the bytes that ino, no directory, takes among the contents.
func contentSize(ino *inode) int64 {
	switch {
	case ino.isType(unix.S_IFREG):
		return stored(ino)
	case ino.isType(unix.S_IFLNK) && !ino.more.inline:
		return ino.size
	}
	return 0
}

// blocks returns how many blocks hold n bytes.
func blocks(n int64) int64 { return (n + blockSize - 1) >> blockBits }
