package unpack

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// small is the size up to which a file of a tar archive waits in memory to be
// written, so that the next ones need not wait for it.
const small = 256 << 10

// trailing is how much may stand behind the end of a tar archive: it is filled up to
// a whole record, of a MiB at most.
const trailing = 1 << 20

// untar fills t from a tar archive, as it comes.
func untar(ctx context.Context, s *source, form Form, t *tree) (err error) {
	down, stop := download(ctx, s, t.opts.Progress)
	defer stop()
	plain, err := decompress(down, form)
	if err != nil {
		return err
	}
	defer plain.Close()
	u := &untarring{t: t, in: &zeroCounter{r: plain}}
	u.tr = tar.NewReader(u.in)
	u.group.SetLimit(t.opts.Parallel)
	err = u.entries(ctx)
	if failed := u.group.Wait(); err == nil {
		err = failed
	}
	return err
}

// download streams the source. stop ends it and waits for its end.
func download(ctx context.Context, s *source, progress func(done, total int64)) (r *io.PipeReader, stop func()) {
	caller := ctx
	ctx, cancel := context.WithCancel(ctx)
	r, w := io.Pipe()
	var work sync.WaitGroup
	work.Go(func() {
		_, err := s.CopyRange(ctx, &counter{w: w, total: s.Size(), progress: progress}, 0, s.Size())
		if err != nil && (ctx.Err() == nil || caller.Err() != nil) { // else it was stopped
			s.failed(err)
		}
		w.CloseWithError(err) // io.EOF for nil
	})
	return r, func() {
		cancel()
		r.Close()
		work.Wait()
	}
}

// A counter tells how much was written.
type counter struct {
	w           io.Writer
	done, total int64
	progress    func(done, total int64)
}

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.done += int64(n)
	c.progress(c.done, c.total)
	return n, err
}

// An untarring is a tar archive being unpacked.
type untarring struct {
	t       *tree
	in      *zeroCounter
	tr      *tar.Reader
	group   errgroup.Group // writes of small files
	failed  atomic.Bool    // one of them has
	buffers sync.Pool      // of *bytes.Buffer
}

func (u *untarring) entries(ctx context.Context) error {
	for {
		u.in.zeros = 0
		h, err := u.tr.Next()
		switch {
		case err == io.EOF:
			return u.end()
		case errors.Is(err, tar.ErrInsecurePath) && h != nil:
			// The caller's GODEBUG asks archive/tar to be wary; names are judged here.
		case err != nil:
			return malformed("after %d entries: %w", u.t.entries, err)
		}
		if err := ctx.Err(); err != nil || u.failed.Load() {
			return err // what failed is known when it has been waited for
		}
		if err := u.entry(h); err != nil {
			return err
		}
	}
}

// end checks that the archive is whole, as its decompressor checks what it has read.
func (u *untarring) end() error {
	if u.in.zeros < headLength {
		return malformed("it ends without its end mark after %d entries: it is cut off", u.t.entries)
	}
	n, err := io.Copy(io.Discard, io.LimitReader(u.in, trailing+1))
	switch {
	case err != nil:
		return malformed("behind the last entry: %w", err)
	case n > trailing:
		return malformed("there is something behind its end")
	}
	return nil
}

func (u *untarring) entry(h *tar.Header) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil // comments of git archive and the like
	}
	if err := u.t.entry(); err != nil {
		return err
	}
	name, err := cleanName(h.Name)
	if err != nil {
		return err
	}
	a := attributes{h.FileInfo().Mode().Perm(), h.ModTime}
	if u.t.kinds[name] == regular || h.Typeflag == tar.TypeLink { // both must be there
		if err := u.group.Wait(); err != nil {
			return err
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return u.t.dir(name, a)
	case tar.TypeSymlink:
		return u.t.link(name, h.Linkname)
	case tar.TypeLink:
		old, err := cleanName(h.Linkname)
		if err != nil {
			return fmt.Errorf("the hard link %q: %w", short(name), err)
		}
		return u.t.hardLink(name, old)
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
		return u.file(name, a, h.Size)
	}
	return special(name)
}

// file writes a file, a small one beside the reading of the next.
func (u *untarring) file(name string, a attributes, size int64) error {
	if err := u.t.room(size); err != nil {
		return err
	}
	if err := u.t.put(name, regular); err != nil {
		return err
	}
	if size > small {
		return u.t.write(name, a, u.tr)
	}
	buf, ok := u.buffers.Get().(*bytes.Buffer)
	if !ok {
		buf = bytes.NewBuffer(make([]byte, 0, small+bytes.MinRead))
	}
	buf.Reset()
	if _, err := buf.ReadFrom(u.tr); err != nil {
		return malformed("%q: %w", short(name), err)
	}
	u.group.Go(func() error {
		defer u.buffers.Put(buf)
		err := u.t.write(name, a, buf)
		if err != nil {
			u.failed.Store(true)
		}
		return err
	})
	return nil
}

// A zeroCounter counts the zeros that a stream ended with.
type zeroCounter struct {
	r     io.Reader
	zeros int
}

// Read implements io.Reader.
func (z *zeroCounter) Read(p []byte) (int, error) {
	n, err := z.r.Read(p)
	tail := n - len(bytes.TrimRight(p[:n], "\x00"))
	if tail == n {
		z.zeros += n
	} else {
		z.zeros = tail
	}
	return n, err
}
