package image

import (
	"context"
	"errors"
	"fmt"
	"io"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"github.com/zonecache/cached/block"
)

// Defaults of [ReaderOptions].
const (
	DefaultParallel = 8
	DefaultKeep     = 16
)

// ReaderOptions configure [NewReader]. The zero value is ready for use.
type ReaderOptions struct {
	// Parallel is how many blocks one call reads at once; 0 means DefaultParallel.
	Parallel int
	// Keep is how many decoded blocks are kept for small reads, each at most 1 MiB;
	// 0 means DefaultKeep, negative none. Reads of whole blocks do not disturb them.
	Keep int
	// Pool serves buffers for decoding; nil means block.DefaultPool.
	Pool *block.Pool
}

// A Reader is the bytes of an image. All methods may be called concurrently; Close
// comes after the last of them.
//
// Every block's length is checked before and after decoding. Its digest is not:
// that is the work of the block.Reader beneath (tiers.Verify), once, where the
// bytes enter the node.
type Reader struct {
	m      *Manifest
	blocks block.Reader
	opts   ReaderOptions
	dec    *zstd.Decoder
	// kept holds decoded bytes, not stored ones: blocks named by their stored form,
	// because a block is a buffer with a count of its readers.
	kept *lru.Cache[block.ID, block.Block]
}

var (
	_ io.ReaderAt = (*Reader)(nil)
	_ io.WriterTo = (*Reader)(nil)
)

// NewReader returns a Reader of the image m, whose blocks come from blocks.
func NewReader(m *Manifest, blocks block.Reader, opts ReaderOptions) (*Reader, error) {
	if opts.Parallel <= 0 {
		opts.Parallel = DefaultParallel
	}
	if opts.Keep == 0 {
		opts.Keep = DefaultKeep
	}
	if opts.Pool == nil {
		opts.Pool = block.DefaultPool
	}
	r := &Reader{m: m, blocks: blocks, opts: opts}
	var err error
	if r.dec, err = newDecoder(); err != nil {
		return nil, fmt.Errorf("image: decoder: %w", err)
	}
	if opts.Keep > 0 {
		r.kept, err = lru.NewWithEvict(opts.Keep, func(_ block.ID, b block.Block) { b.Release() })
		if err != nil {
			return nil, fmt.Errorf("image: reader: %w", err)
		}
	}
	return r, nil
}

// Manifest returns what the Reader reads.
func (r *Reader) Manifest() *Manifest { return r.m }

// Size returns the bytes of the image.
func (r *Reader) Size() int64 { return r.m.Size }

// Close frees the kept blocks.
func (r *Reader) Close() error {
	if r.kept != nil {
		r.kept.Purge()
	}
	r.dec.Close()
	return nil
}

// ReadAt implements [io.ReaderAt] without a context.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	return r.ReadAtContext(context.Background(), p, off)
}

// ReadAtContext fills p with the image's bytes from off on. As [io.ReaderAt] has
// it, fewer than len(p) come with an error: io.EOF where the image ends, a
// *RangeError for a negative offset, else one of the errors of [block.Reader]
// with the block's id; then nothing in p may be used.
func (r *Reader) ReadAtContext(ctx context.Context, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, &RangeError{Offset: off, Length: int64(len(p)), Size: r.m.Size}
	}
	if len(p) == 0 {
		return 0, nil
	}
	if off >= r.m.Size {
		return 0, io.EOF
	}
	var end error
	if rest := r.m.Size - off; int64(len(p)) > rest {
		p, end = p[:rest], io.EOF
	}
	if err := r.fill(ctx, p, off); err != nil {
		return 0, err
	}
	return len(p), end
}

// fill reads len(p) bytes, which the image has.
func (r *Reader) fill(ctx context.Context, p []byte, off int64) error {
	i, within := r.m.Locate(off)
	ref := r.m.Blocks[i]
	if within+int64(len(p)) <= int64(ref.Length) {
		return r.part(ctx, p, ref, within)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.opts.Parallel)
	for len(p) > 0 && ctx.Err() == nil {
		ref := r.m.Blocks[i]
		n := min(int64(len(p)), int64(ref.Length)-within)
		dst, at := p[:n:n], within
		g.Go(func() error { return r.part(ctx, dst, ref, at) })
		p, within, i = p[n:], 0, i+1
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctxErr(ctx, len(p))
}

// ctxErr is the error of a loop that ctx stopped with left bytes to go.
func ctxErr(ctx context.Context, left int) error {
	if left == 0 {
		return nil
	}
	return context.Cause(ctx)
}

// part fills dst with the decoded bytes of ref from at on.
func (r *Reader) part(ctx context.Context, dst []byte, ref BlockRef, at int64) error {
	if r.kept != nil {
		if b, ok := r.kept.Get(ref.ID); ok {
			// It may have been evicted since, and then is no more.
			if b, ok = b.TryRetain(); ok {
				defer b.Release()
				if b.Len() != int(ref.Length) {
					return lengthError(ref, b.Len())
				}
				copy(dst, b.Bytes()[at:])
				return nil
			}
		}
	}
	if len(dst) == int(ref.Length) {
		return r.whole(ctx, dst, ref)
	}
	b, err := r.Decoded(ctx, ref)
	if err != nil {
		return err
	}
	copy(dst, b.Bytes()[at:])
	r.keep(ref.ID, b)
	return nil
}

// whole reads and decodes ref straight into dst.
func (r *Reader) whole(ctx context.Context, dst []byte, ref BlockRef) error {
	stored, err := r.stored(ctx, ref)
	if err != nil {
		return err
	}
	defer stored.Release()
	return decode(r.dec, dst, stored.Bytes(), ref)
}

// Decoded returns the decoded bytes of ref, one of the manifest's blocks, as a block
// that is named by its stored form and that the caller releases. From says who
// served it. It neither looks at what the Reader keeps nor adds to it.
func (r *Reader) Decoded(ctx context.Context, ref BlockRef) (block.Block, error) {
	stored, err := r.stored(ctx, ref)
	if err != nil || ref.Encoding == Raw && int(ref.Stored) == stored.Len() {
		return stored, err
	}
	defer stored.Release()
	buf := r.opts.Pool.Get(int(ref.Length))
	if err := decode(r.dec, buf.Bytes(), stored.Bytes(), ref); err != nil {
		buf.Release()
		return block.Block{}, err
	}
	return buf.Seal(ref.ID, stored.From), nil
}

// stored returns the block of ref, which has the length that the manifest says.
func (r *Reader) stored(ctx context.Context, ref BlockRef) (block.Block, error) {
	b, err := r.blocks.ReadBlock(ctx, ref.ID)
	if err != nil {
		return block.Block{}, fmt.Errorf("image: block %s: %w", ref.ID, err)
	}
	if b.ID() != ref.ID || b.Len() != int(ref.Stored) {
		err := fmt.Errorf("image: block %s: got %s of %d bytes where the manifest says %d: %w", ref.ID, b.ID().Short(), b.Len(), ref.Stored, block.ErrCorrupt)
		b.Release()
		return block.Block{}, err
	}
	return b, nil
}

// keep takes over the reference b.
func (r *Reader) keep(id block.ID, b block.Block) {
	if r.kept == nil {
		b.Release()
		return
	}
	// A concurrent reader of the same block may have kept its own copy.
	if had, _ := r.kept.ContainsOrAdd(id, b); had {
		b.Release()
	}
}

func lengthError(ref BlockRef, n int) error {
	return fmt.Errorf("image: block %s: %d bytes after decoding where the manifest says %d: %w", ref.ID, n, ref.Length, block.ErrCorrupt)
}

// WriteTo implements [io.WriterTo] without a context, for the whole image.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	return r.CopyRange(context.Background(), w, 0, r.m.Size)
}

// CopyRange writes length bytes from off on to w, in order, with Parallel blocks
// read ahead, and returns how many were written. A range beyond the image is a
// *RangeError and writes nothing.
func (r *Reader) CopyRange(ctx context.Context, w io.Writer, off, length int64) (int64, error) {
	if err := r.m.CheckRange(off, length); err != nil {
		return 0, err
	}
	if length == 0 {
		return 0, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a := r.readAhead(ctx, off, length)
	defer a.close(cancel)
	var written int64
	for {
		b, err := a.next()
		if errors.Is(err, io.EOF) {
			// Reading ahead also ends, without a promise, when ctx does.
			return written, ctxErr(ctx, int(length-written))
		}
		if err != nil {
			return written, err
		}
		n, err := w.Write(b.bytes())
		b.release()
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
}
