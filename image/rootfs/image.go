package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
)

// An Image is a tree that is laid out and can be streamed. It is immutable.
type Image struct {
	super   super
	dirs    []*inode // path order
	files   []*inode // everything else, in the order of their first paths
	filesAt int64    // where the inodes of files begin
	dataAt  int64    // where contents begin
	sources []source
	stats   Stats
}

// Size returns the bytes of the image, a multiple of 4096.
func (img *Image) Size() int64 { return int64(img.super.blocks) << blockBits }

// Stats returns what the image holds and what was left out of it.
func (img *Image) Stats() Stats { return img.stats }

// An Extent is a run of the image: the metadata, or the content of one file with
// the zeros up to the next block.
type Extent struct {
	Offset, Length int64
	ino            *inode
}

// Path returns the first path of the file whose content the extent is, relative to
// the root, and "" for the metadata.
func (x Extent) Path() string {
	if x.ino == nil {
		return ""
	}
	return x.ino.path()
}

// Extents yields the runs of the image in ascending order, without gaps: the
// metadata first, then each file that has content.
func (img *Image) Extents() iter.Seq[Extent] {
	return func(yield func(Extent) bool) {
		if !yield(Extent{Length: img.dataAt}) {
			return
		}
		for _, ino := range img.files {
			n := contentSize(ino)
			if n > 0 && !yield(Extent{int64(ino.block) << blockBits, align(n, blockSize), ino}) {
				return
			}
		}
	}
}

// Stream writes the whole image to w, in order, in bounded memory. Every call
// writes the same bytes or fails; an error that matches ErrChanged says which
// file of a directory source is no longer what it was.
func (img *Image) Stream(ctx context.Context, w io.Writer) error {
	e := newEmitter(w, 0)
	e.write(img.super.encode())
	if err := img.emitMeta(ctx, e); err != nil {
		return fmt.Errorf("rootfs: %w", err)
	}
	if err := img.emitContents(ctx, e); err != nil {
		return fmt.Errorf("rootfs: %w", err)
	}
	return nil
}

// emitMeta writes everything between the superblock and the contents.
func (img *Image) emitMeta(ctx context.Context, e *emitter) error {
	var p []byte
	inode := func(ino *inode) {
		p = appendXattrs(appendInode(p[:0], ino), ino.xattrs())
	}
	for i, dir := range img.dirs {
		if err := e.check(ctx, i); err != nil {
			return err
		}
		inode(dir)
		if m := dir.more; m.inline {
			p = appendDirents(p, m.sorted[m.tail:])
		}
		e.padTo(int64(dir.slot) * slotSize)
		e.write(p)
	}
	for i, dir := range img.dirs {
		if err := e.check(ctx, i); err != nil {
			return err
		}
		img.emitDirents(e, dir)
	}
	e.padTo(img.filesAt)
	for i, ino := range img.files {
		if err := e.check(ctx, i); err != nil {
			return err
		}
		inode(ino)
		if m := ino.more; m != nil && m.inline {
			p = append(p, m.target...)
		}
		if ino.holes() != nil {
			p = append(p, make([]byte, align(len(p), chunkIndexSize)-len(p))...)
			p = appendChunks(p, ino)
		}
		e.padTo(int64(ino.slot) * slotSize)
		e.write(p)
	}
	e.padTo(img.dataAt)
	return e.flush()
}

// emitDirents writes the entries of dir that have blocks of their own.
func (img *Image) emitDirents(e *emitter, dir *inode) {
	list := dir.more.sorted
	if dir.more.inline {
		list = list[:dir.more.tail]
	}
	var p []byte
	for len(list) > 0 {
		n, _ := direntBlock(list)
		p = appendDirents(p[:0], list[:n])
		e.align()
		e.write(p)
		list = list[n:]
	}
}

// emitContents writes the contents of files, each from a block boundary.
func (img *Image) emitContents(ctx context.Context, e *emitter) error {
	buf := make([]byte, copySize)
	for i, ino := range img.files {
		n := contentSize(ino)
		if n == 0 {
			continue
		}
		if err := e.check(ctx, i); err != nil {
			return err
		}
		e.padTo(int64(ino.block) << blockBits)
		if ino.more != nil && ino.more.target != "" {
			e.write([]byte(ino.more.target))
			continue
		}
		start := e.off
		if err := img.sources[ino.source].copyTo(ctx, e, ino, buf); err != nil {
			var sink *sinkError
			if errors.As(err, &sink) {
				return sink.err
			}
			return fmt.Errorf("content of %q: %w", ino.path(), err)
		}
		if e.off-start != n {
			return fmt.Errorf("content of %q: %d bytes where %d were laid out", ino.path(), e.off-start, n)
		}
	}
	e.padTo(img.Size())
	return e.flush()
}
