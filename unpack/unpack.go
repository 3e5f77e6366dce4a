package unpack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// What is wrong with an archive. A source's own errors are passed on as they are.
var (
	// ErrMalformed: damaged, cut off, or made to do harm.
	ErrMalformed = errors.New("malformed archive")
	// ErrUnsupported: not an archive, or with something that a code package does not have.
	ErrUnsupported = errors.New("unsupported")
	// ErrLimit: it unpacks to more than it may.
	ErrLimit = errors.New("too large")
)

// A Source is the bytes of an archive; an agent.Image is one.
type Source interface {
	Size() int64
	// ReadAtContext is as of [io.ReaderAt], and may be called concurrently.
	ReadAtContext(ctx context.Context, p []byte, off int64) (int, error)
	// CopyRange writes length bytes from off on to w, reading ahead.
	CopyRange(ctx context.Context, w io.Writer, off, length int64) (int64, error)
}

// Defaults of [Options].
const (
	DefaultMaxBytes   = 4 << 30
	DefaultMaxEntries = 200_000
	DefaultParallel   = 8
)

// Options bound what is unpacked. The zero value is ready for use.
type Options struct {
	// MaxBytes is how many bytes all files together may have; 0 means DefaultMaxBytes.
	MaxBytes int64
	// MaxEntries is how many entries the archive may have; 0 means DefaultMaxEntries.
	MaxEntries int
	// Parallel is how many files are written at once; 0 means DefaultParallel.
	Parallel int
	// Progress hears how many bytes of the archive are unpacked; nil: nobody does. It
	// may be called concurrently.
	Progress func(done, total int64)
}

func (o Options) withDefaults() Options {
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.MaxEntries <= 0 {
		o.MaxEntries = DefaultMaxEntries
	}
	if o.Parallel <= 0 {
		o.Parallel = DefaultParallel
	}
	if o.Progress == nil {
		o.Progress = func(int64, int64) {}
	}
	return o
}

// A Result is what was unpacked.
type Result struct {
	Form    Form
	Entries int           // of the archive
	Bytes   int64         // of all files
	Took    time.Duration // from the first read to the directory in its place
}

// Into unpacks src into the directory dir. It is made if it does not exist, and must
// be empty if it does; its parent must exist. After an error it is what it was.
func Into(ctx context.Context, src Source, dir string, o Options) (res Result, err error) {
	began := time.Now()
	o = o.withDefaults()
	s, err := stage(dir)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	in := &source{Source: src}
	form, err := formOf(ctx, in)
	if err != nil {
		return res, in.blame(err)
	}
	t := newTree(s.root, s.exact, o)
	defer func() { err = errors.Join(err, t.places.close()) }()
	if form == Zip {
		err = unzip(ctx, in, t)
	} else {
		err = untar(ctx, in, form, t)
	}
	if err == nil {
		err = t.finish(s.attributes)
	}
	if err != nil {
		return res, in.blame(err)
	}
	if err := ctx.Err(); err != nil {
		return res, err
	}
	if err := s.commit(); err != nil {
		return res, err
	}
	return Result{Form: form, Entries: t.entries, Bytes: t.bytes.Load(), Took: time.Since(began)}, nil
}

// A source remembers why it failed: readers of archives may say something else of it.
type source struct {
	Source
	mu  sync.Mutex
	err error
}

func (s *source) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
}

// blame returns what the source failed with, or err if it did not.
func (s *source) blame(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	return err
}

// at is s for those who know no contexts.
func (s *source) at(ctx context.Context) io.ReaderAt { return readerAt{ctx, s} }

type readerAt struct {
	ctx context.Context //nolint:containedctx // of one Into, for the time of the call
	s   *source
}

// ReadAt implements [io.ReaderAt].
func (r readerAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.s.ReadAtContext(r.ctx, p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		r.s.failed(err)
	}
	return n, err
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}
