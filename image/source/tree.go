package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/zonecache/cached/image"
	"github.com/zonecache/cached/image/rootfs"
)

// largeFile is the size from which a file begins a block of its own, so that
// images share it whatever stands before it. docs/adr/0001 has the measurement.
const largeFile = 256 << 10

// A tree is a file system being built from a source.
type tree struct {
	builder *rootfs.Builder
}

func newTree(set settings, mark rootfs.EndMark) (*tree, error) {
	b, err := rootfs.NewBuilder(rootfs.Options{SpoolDir: set.SpoolDir, Logger: set.Logger, EndMark: mark})
	if err != nil {
		return nil, err
	}
	return &tree{b}, nil
}

// content lays the tree out and starts to produce it. It takes over the tree,
// also when it fails.
func (t *tree) content(ctx context.Context) (*image.Content, error) {
	img, err := t.builder.Finish(ctx)
	if err != nil {
		return nil, errors.Join(err, t.builder.Close())
	}
	var starts []int64
	metadata := true
	for x := range img.Extents() {
		// The first is the metadata, and the second where contents begin.
		if !metadata && (len(starts) == 0 || x.Length >= largeFile) {
			starts = append(starts, x.Offset)
		}
		metadata = false
	}
	return &image.Content{
		MediaType: image.MediaTypeEROFS, Size: img.Size(), Starts: starts,
		Bytes: produce(ctx, img, t.builder),
	}, nil
}

// A production is an image that is made while it is read.
type production struct {
	*io.PipeReader
	builder *rootfs.Builder
	cancel  context.CancelFunc
	ended   chan struct{}
}

func produce(ctx context.Context, img *rootfs.Image, b *rootfs.Builder) *production {
	ctx, cancel := context.WithCancel(ctx)
	r, w := io.Pipe()
	p := &production{PipeReader: r, builder: b, cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		// A nil error is io.EOF to the reader.
		_ = w.CloseWithError(img.Stream(ctx, w))
	}()
	return p
}

// Close ends the production and frees the spool.
func (p *production) Close() error {
	p.cancel()
	err := p.PipeReader.Close()
	<-p.ended
	return errors.Join(err, p.builder.Close())
}

// A dirSource is a directory.
type dirSource struct {
	path string
	set  settings
}

// Open implements [image.Source].
func (s dirSource) Open(ctx context.Context, report func(image.Progress)) (*image.Content, error) {
	report(image.Progress{Stage: image.StageRead, Detail: s.path, Total: -1})
	t, err := newTree(s.set, rootfs.EndMarkRequired)
	if err != nil {
		return nil, err
	}
	if err := t.builder.AddDir(ctx, s.path); err != nil {
		return nil, errors.Join(err, t.builder.Close())
	}
	return t.content(ctx)
}

// A tarSource is one tar archive.
type tarSource struct {
	path string
	set  settings
}

// Open implements [image.Source].
func (s tarSource) Open(ctx context.Context, report func(image.Progress)) (*image.Content, error) {
	fi, err := os.Stat(s.path)
	if err != nil {
		return nil, err
	}
	return flatten(ctx, s.set, report, []layer{{
		label: s.path, size: fi.Size(),
		open: func() (io.ReadCloser, error) { return os.Open(s.path) },
	}})
}

// endMarkOf asks for an end mark where no digest vouches for the whole archive.
func endMarkOf(layers []layer) rootfs.EndMark {
	for _, l := range layers {
		if l.digest == (v1.Hash{}) && l.diffID == (v1.Hash{}) {
			return rootfs.EndMarkRequired
		}
	}
	return rootfs.EndMarkOptional
}

// flatten applies layers in order, the lowest first.
func flatten(ctx context.Context, set settings, report func(image.Progress), layers []layer) (*image.Content, error) {
	t, err := newTree(set, endMarkOf(layers))
	if err != nil {
		return nil, err
	}
	progress := image.Progress{Stage: image.StageRead}
	for _, l := range layers {
		progress.Total += l.size
	}
	for i, l := range layers {
		progress.Detail = fmt.Sprintf("layer %d of %d", i+1, len(layers))
		report(progress)
		err := l.read(func(n int) {
			progress.Done += int64(n)
			report(progress)
		}, func(r io.Reader) error { return t.builder.AddTar(ctx, r) })
		if err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = fmt.Errorf("cut off in the middle: %w", err)
			}
			return nil, errors.Join(fmt.Errorf("%s: %w", l.label, err), t.builder.Close())
		}
	}
	return t.content(ctx)
}
