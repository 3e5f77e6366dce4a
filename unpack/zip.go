package unpack

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"
)

// unzip fills t from a zip archive. Files are taken in the order of its directory, in
// which they lie in nearly all archives: what is fetched ahead is what comes next.
func unzip(ctx context.Context, s *source, t *tree) error {
	files, err := readDirectory(ctx, s, t)
	if err != nil {
		return err
	}
	p := plan{t: t}
	for _, f := range files {
		if err := p.add(f); err != nil {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(t.opts.Parallel)
	var done atomic.Int64
	for _, e := range p.files {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			if err := e.extract(t); err != nil {
				return err
			}
			t.opts.Progress(done.Add(int64(e.file.UncompressedSize64)), p.total)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, e := range p.links {
		if err := e.link(t); err != nil {
			return err
		}
	}
	return nil
}

// Bounds of an archive's directory, whose entries have 46 bytes and a name.
const (
	directoryEntry = 128 // bytes, on average
	directoryMore  = 1 << 20
)

// readDirectory reads what the archive consists of.
func readDirectory(ctx context.Context, s *source, t *tree) ([]*zip.File, error) {
	in := &bounded{r: s.at(ctx), rest: int64(t.opts.MaxEntries)*directoryEntry + directoryMore}
	r, err := zip.NewReader(in, s.Size())
	switch {
	case in.spent:
		return nil, fmt.Errorf("%w: more than %d entries, by the size of the zip directory", ErrLimit, t.opts.MaxEntries)
	case errors.Is(err, zip.ErrInsecurePath) && r != nil:
		// The caller's GODEBUG asks archive/zip to be wary; names are judged here.
	case err != nil:
		return nil, malformed("%w", err)
	}
	in.open = true
	r.RegisterDecompressor(zip.Deflate, newInflater())
	r.RegisterDecompressor(zstd.ZipMethodWinZip, zstd.ZipDecompressor(zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow)))
	return r.File, nil
}

// bounded lets the directory be read, so far, and later everything.
type bounded struct {
	r     io.ReaderAt
	rest  int64
	spent bool
	open  bool
}

// ReadAt implements [io.ReaderAt].
func (b *bounded) ReadAt(p []byte, off int64) (int, error) {
	if !b.open {
		if b.rest -= int64(len(p)); b.rest < 0 {
			b.spent = true
			return 0, ErrLimit
		}
	}
	return b.r.ReadAt(p, off)
}

// A zipped is a file or a link of the archive.
type zipped struct {
	name string
	file *zip.File
}

// A plan is what is to be done. All entries are judged before the first is read.
type plan struct {
	t            *tree
	files, links []zipped
	total        int64 // bytes of all files
}

// add judges an entry and makes its directories.
func (p *plan) add(f *zip.File) error {
	if err := p.t.entry(); err != nil {
		return err
	}
	name, err := cleanName(f.Name)
	if err != nil {
		return err
	}
	mode := f.Mode()
	switch {
	case mode.IsDir() || strings.HasSuffix(f.Name, "/"):
		return p.t.dir(name, attributes{permissions(mode, 0o755), f.Modified})
	case p.t.kinds[name] != nothing:
		return malformed("%q is in the archive more than once", short(name))
	case f.Flags&1 != 0:
		return fmt.Errorf("%w: %q is encrypted", ErrUnsupported, short(name))
	case f.UncompressedSize64 > uint64(p.t.opts.MaxBytes-p.total):
		return p.t.room(-1)
	}
	p.total += int64(f.UncompressedSize64)
	switch mode.Type() {
	case 0:
		p.files = append(p.files, zipped{name, f})
		return p.t.put(name, regular)
	case fs.ModeSymlink:
		p.links = append(p.links, zipped{name, f})
		return p.t.put(name, symlink)
	}
	return special(name)
}

func special(name string) error {
	return fmt.Errorf("%w: %q is a device, a pipe or a socket: a code package has files, directories and links", ErrUnsupported, short(name))
}

// permissions are those of an entry, or others where it states none, as archives
// do that programs have written.
func permissions(mode, none fs.FileMode) fs.FileMode {
	if mode.Perm() == 0 {
		return none
	}
	return mode.Perm()
}

// extract writes the file.
func (e zipped) extract(t *tree) error {
	r, err := e.open()
	if err != nil {
		return err
	}
	defer r.Close()
	return t.write(e.name, attributes{permissions(e.file.Mode(), 0o644), e.file.Modified}, r)
}

// link notes the symbolic link, whose target is the content.
func (e zipped) link(t *tree) error {
	r, err := e.open()
	if err != nil {
		return err
	}
	defer r.Close()
	target, err := io.ReadAll(io.LimitReader(r, pathMax+1))
	if err != nil {
		return malformed("%q: %w", short(e.name), err)
	}
	return t.link(e.name, string(target))
}

func (e zipped) open() (io.ReadCloser, error) {
	r, err := e.file.Open()
	switch {
	case errors.Is(err, zip.ErrAlgorithm):
		return nil, fmt.Errorf("%w: %q is compressed by method %d: pack it with deflate or zstd", ErrUnsupported, short(e.name), e.file.Method)
	case err != nil:
		return nil, malformed("%q: %w", short(e.name), err)
	}
	return r, nil
}
