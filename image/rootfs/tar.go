package rootfs

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// AddTar applies an uncompressed tar stream as the next layer over what is
// there, as container runtimes do: whiteouts hide what lower layers hold, a later
// entry of the same name replaces the earlier one, parents that no entry describes
// are made, and symbolic links on the way to an entry are followed inside the
// tree. Names are taken relative to the root whether they start with "/" or not;
// a name that leaves the root by ".." is an error. A hard link keeps the
// attributes of the file it names. The stream is read to its end, so that a
// decompressor behind it can check what it has to check.
//
// After an error the Builder makes no image. Errors name the entry and match
// ErrMalformed or ErrUnsupported where the layer is to blame.
func (b *Builder) AddTar(ctx context.Context, r io.Reader) error {
	if err := b.begin(); err != nil {
		return err
	}
	in := &watcher{ctx: ctx, r: r}
	tr := tar.NewReader(in)
	last := ""
	for {
		in.zeros = 0
		hdr, err := tr.Next()
		switch {
		case err == io.EOF:
			if in.zeros < tarBlock && b.opts.EndMark == EndMarkRequired {
				return b.fail(after(last, fmt.Errorf("%w: the archive ends without its end mark: it is cut off", ErrMalformed)))
			}
			if _, err := io.CopyBuffer(io.Discard, in, b.spool.buf); err != nil {
				return b.fail(fmt.Errorf("behind the end of the archive: %w", err))
			}
			return nil
		case errors.Is(err, tar.ErrInsecurePath) && hdr != nil:
			// The caller's GODEBUG asks archive/tar to be wary; names are judged below.
		case err != nil:
			return b.fail(after(last, in.blame(err)))
		}
		if err := b.addEntry(ctx, hdr, tr); err != nil {
			return b.fail(fmt.Errorf("entry %.512q: %w", hdr.Name, in.blame(err)))
		}
		last = hdr.Name
	}
}

const tarBlock = 512

func after(last string, err error) error {
	if last == "" {
		return err
	}
	return fmt.Errorf("after entry %.512q: %w", last, err)
}

// addEntry applies one entry; body is its content.
func (b *Builder) addEntry(ctx context.Context, hdr *tar.Header, body io.Reader) error {
	if hdr.Typeflag == tar.TypeXGlobalHeader {
		return nil // comments of git archive and the like
	}
	p, err := cleanName(hdr.Name)
	if err != nil {
		return err
	}
	what, err := roleOf(p)
	if err != nil {
		return err
	}
	parent, base := path.Split(p)
	switch what {
	case removal, opaque:
		dir, err := b.tree.dir(parent, findOnly)
		switch {
		case err != nil || dir == nil:
			return err
		case what == opaque:
			b.tree.hideAll(dir)
		default:
			b.tree.hide(dir, base[len(whiteoutPrefix):])
		}
		return nil
	case bookkeeper:
		b.stats.SkippedEntries++
		return nil
	}
	if p == "" {
		return b.addRoot(hdr)
	}
	if hdr.Typeflag == tar.TypeLink {
		return b.addLink(parent, base, hdr.Linkname)
	}
	ino, err := b.fromHeader(hdr)
	if err != nil {
		return err
	}
	dir, err := b.tree.dir(parent, makeMissing)
	if err != nil {
		return err
	}
	if ino.isType(unix.S_IFREG) {
		if hdr.Size > fileMax {
			return fmt.Errorf("%w: file of %d bytes, at most %d", ErrUnsupported, hdr.Size, int64(fileMax))
		}
		if err := b.spool.add(ctx, ino, body, hdr.Size); err != nil {
			return err
		}
	}
	b.tree.put(dir, base, ino)
	return nil
}

// cleanName returns the entry's path relative to the root, "" for the root.
func cleanName(name string) (string, error) {
	if name == "" {
		return "", fmt.Errorf("%w: empty name", ErrMalformed)
	}
	if strings.IndexByte(name, 0) >= 0 {
		return "", fmt.Errorf("%w: NUL in the name", ErrMalformed)
	}
	p := path.Clean(strings.TrimLeft(name, "/"))
	switch {
	case p == ".":
		return "", nil
	case p == ".." || strings.HasPrefix(p, "../"):
		return "", fmt.Errorf("%w: the name leaves the root", ErrMalformed)
	case len(p) >= pathMax:
		return "", fmt.Errorf("%w: name of %d bytes, at most %d", ErrMalformed, len(p), pathMax-1)
	}
	for part := range strings.SplitSeq(p, "/") {
		if len(part) > nameMax {
			return "", fmt.Errorf("%w: name component of %d bytes, at most %d", ErrMalformed, len(part), nameMax)
		}
	}
	return p, nil
}

func (b *Builder) addRoot(hdr *tar.Header) error {
	if hdr.Typeflag != tar.TypeDir {
		return fmt.Errorf("%w: the root must be a directory", ErrMalformed)
	}
	ino, err := b.fromHeader(hdr)
	if err != nil {
		return err
	}
	b.tree.root.describe(ino)
	return nil
}

// addLink gives the inode at target another name.
func (b *Builder) addLink(parent, base, target string) error {
	t, err := cleanName(target)
	if err != nil {
		return fmt.Errorf("hard link to %.512q: %w", target, err)
	}
	from, name := path.Split(t)
	dir, err := b.tree.dir(from, findOnly)
	if err != nil {
		return fmt.Errorf("hard link to %.512q: %w", target, err)
	}
	var e entry
	if dir != nil {
		e = dir.more.names[name]
	}
	switch {
	case e.ino == nil:
		return fmt.Errorf("%w: hard link to %.512q, which does not exist", ErrMalformed, target)
	case e.ino.isDir():
		return fmt.Errorf("%w: hard link to the directory %.512q", ErrMalformed, target)
	}
	if dir, err = b.tree.dir(parent, makeMissing); err != nil {
		return err
	}
	b.tree.put(dir, base, e.ino)
	return nil
}

var tarTypes = map[byte]uint16{
	tar.TypeReg:       unix.S_IFREG,
	'\x00':            unix.S_IFREG, // from before POSIX
	tar.TypeCont:      unix.S_IFREG,
	tar.TypeGNUSparse: unix.S_IFREG,
	tar.TypeSymlink:   unix.S_IFLNK,
	tar.TypeChar:      unix.S_IFCHR,
	tar.TypeBlock:     unix.S_IFBLK,
	tar.TypeDir:       unix.S_IFDIR,
	tar.TypeFifo:      unix.S_IFIFO,
}

// fromHeader makes the inode that an entry describes, without content.
func (b *Builder) fromHeader(hdr *tar.Header) (*inode, error) {
	kind, ok := tarTypes[hdr.Typeflag]
	if !ok {
		return nil, fmt.Errorf("%w: tar entry type %q", ErrUnsupported, hdr.Typeflag)
	}
	ino := &inode{
		mode:    kind | uint16(hdr.Mode&0o7777),
		mtime:   hdr.ModTime.Unix(),
		mtimeNs: uint32(hdr.ModTime.Nanosecond()),
	}
	var err error
	if ino.uid, err = ownerID(hdr.Uid); err != nil {
		return nil, err
	}
	if ino.gid, err = ownerID(hdr.Gid); err != nil {
		return nil, err
	}
	switch kind {
	case unix.S_IFDIR:
		ino.ext().names = map[string]entry{}
	case unix.S_IFLNK:
		if n := len(hdr.Linkname); n == 0 || n >= pathMax {
			return nil, fmt.Errorf("%w: symbolic link with a target of %d bytes, want 1 to %d", ErrMalformed, n, pathMax-1)
		}
		ino.ext().target = strings.Clone(hdr.Linkname)
		ino.size = int64(len(hdr.Linkname))
		ino.mode = unix.S_IFLNK | 0o777 // Linux has no other, whatever the archive says
	case unix.S_IFCHR, unix.S_IFBLK:
		if ino.rdev, err = encodeDevice(hdr.Devmajor, hdr.Devminor); err != nil {
			return nil, err
		}
	}
	return ino, b.setXattrs(ino, tarXattrs(hdr))
}

// paxXattr starts the PAX records that hold extended attributes.
const paxXattr = "SCHILY.xattr."

func tarXattrs(hdr *tar.Header) map[string]string {
	var named map[string]string
	for key, value := range hdr.PAXRecords {
		if name, ok := strings.CutPrefix(key, paxXattr); ok {
			if named == nil {
				named = map[string]string{}
			}
			named[name] = value
		}
	}
	return named
}

// setXattrs gives ino the attributes the format can hold and counts the others.
func (b *Builder) setXattrs(ino *inode, named map[string]string) error {
	if len(named) == 0 {
		return nil
	}
	xs, skipped, err := encodeXattrs(named)
	if err != nil {
		return err
	}
	b.stats.SkippedXattrs += skipped
	if len(xs) > 0 {
		ino.ext().xattrs = xs
	}
	return nil
}

func ownerID(id int) (uint32, error) {
	if id < 0 || id > math.MaxUint32 {
		return 0, fmt.Errorf("%w: owner %d", ErrMalformed, id)
	}
	return uint32(id), nil
}

// encodeDevice is the kernel's new_encode_dev: 12 bits of major, 20 of minor.
func encodeDevice(major, minor int64) (uint32, error) {
	if major < 0 || major >= 1<<12 || minor < 0 || minor >= 1<<20 {
		return 0, fmt.Errorf("%w: device %d:%d", ErrUnsupported, major, minor)
	}
	return uint32(minor&0xff | major<<8 | minor&^0xff<<12), nil
}

// A watcher stands below archive/tar: it stops when the context ends, remembers
// whether a failure was the stream's, and counts the zeros that were read last.
type watcher struct {
	ctx   context.Context //nolint:containedctx // archive/tar calls Read, which has no other way to learn it; it lives as long as one AddTar
	r     io.Reader
	zeros int
	err   error
}

func (w *watcher) Read(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		w.err = err
		return 0, err
	}
	n, err := w.r.Read(p)
	if rest := len(bytes.TrimRight(p[:n], "\x00")); rest > 0 {
		w.zeros = n - rest
	} else {
		w.zeros += n
	}
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

// blame says whether err comes from below the archive or is the archive's own.
func (w *watcher) blame(err error) error {
	switch {
	case w.err != nil:
		return w.err
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return fmt.Errorf("%w: it is cut off", ErrMalformed)
	case errors.Is(err, tar.ErrHeader) || errors.Is(err, tar.ErrFieldTooLong):
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return err
}
