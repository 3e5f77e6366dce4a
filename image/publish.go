package image

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zonecache/cached/block"
)

// DefaultUploads is how many blocks are on their way to the target at once: a
// store that takes 20 ms per request then takes 800 blocks a second.
const DefaultUploads = 16

// PublishOptions configure [Publish].
type PublishOptions struct {
	// Name is the ref that points at the image in the end; see block.CheckName.
	Name string
	// Target takes blocks, manifest and ref.
	Target Target
	// Uploads in flight; 0 means DefaultUploads.
	Uploads int
	// Workers compress and hash; 0 means as many as there are cores.
	Workers int
	// Progress is called ten times a second and at the end of each stage, never
	// concurrently; nil is fine. It must return quickly.
	Progress func(Progress)
	// Logger hears about retries; nil discards.
	Logger *slog.Logger
	// Pool serves the buffers; nil means block.DefaultPool.
	Pool *block.Pool
	// Retry bounds the repetition of failed requests; the zero value is the default.
	Retry Retry
	// Cut is where the image is cut; images that are cut alike share blocks.
	Cut Cut
	// Verify is how closely blocks that the target has already are looked at.
	Verify Verification
}

// A Verification is what makes a block in the target count as there. One that
// does not is uploaded again and replaces what has its name.
type Verification int

// The verifications.
const (
	// VerifyLength asks for the stored length, which finds what was cut short.
	VerifyLength Verification = iota
	// VerifyBytes reads every block back, which also finds flipped bits; it costs
	// the image's stored bytes in reads.
	VerifyBytes
)

// A Result is what a publish did.
type Result struct {
	Manifest block.ID
	Blocks   int   // entries in the manifest
	Raw      int64 // bytes of the image
	Stored   int64 // bytes of the distinct blocks in their stored form

	New      Count // uploaded by this publish: missing ones and damaged ones
	Shared   Count // the target had them right: other images, or a publish that was stopped
	Repeated Count // further occurrences within the image; they cost nothing

	Prepare time.Duration // until the source could be read
	Upload  time.Duration // from then on to the ref
}

// A Count is a number of blocks and their bytes: stored ones, and those of the
// image that they stand for.
type Count struct {
	Blocks      int
	Stored, Raw int64
}

func (c *Count) add(ref BlockRef) {
	c.Blocks++
	c.Stored += int64(ref.Stored)
	c.Raw += int64(ref.Length)
}

// SharedPercent returns how much of the distinct stored bytes was there already.
func (r Result) SharedPercent() float64 {
	if r.Stored == 0 {
		return 0
	}
	return 100 * float64(r.Shared.Stored) / float64(r.Stored)
}

// Publish reads the source, uploads the blocks that the target lacks and then
// the manifest, and moves the ref last: whatever fails or is cancelled before
// leaves the name as it was, and a later Publish uploads only what is missing.
//
// Memory is bounded by the pieces in flight (workers plus twice the uploads, at
// most 1 MiB each) and 44 bytes per block of the image.
func Publish(ctx context.Context, src Source, opts PublishOptions) (Result, error) {
	if err := block.CheckName(opts.Name); err != nil {
		return Result{}, fmt.Errorf("publish: %w", err)
	}
	opts = opts.withDefaults()
	rep := newReporter(opts.Progress)
	defer rep.close()

	began := time.Now()
	content, err := src.Open(ctx, rep.set)
	if err != nil {
		return Result{}, fmt.Errorf("publish %s: %w", opts.Name, err)
	}
	prepared := time.Now()
	res, err := publish(ctx, content, opts, rep)
	if closeErr := content.Bytes.Close(); err == nil && closeErr != nil {
		err = closeErr
	}
	if err != nil {
		return res, fmt.Errorf("publish %s: %w", opts.Name, err)
	}
	res.Prepare, res.Upload = prepared.Sub(began), time.Since(prepared)
	return res, nil
}

func (o PublishOptions) withDefaults() PublishOptions {
	if o.Uploads <= 0 {
		o.Uploads = DefaultUploads
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Pool == nil {
		o.Pool = block.DefaultPool
	}
	o.Retry = o.Retry.withDefaults()
	return o
}

func publish(ctx context.Context, c *Content, opts PublishOptions, rep *reporter) (Result, error) {
	enc, err := newEncoder(opts.Workers)
	if err != nil {
		return Result{}, fmt.Errorf("zstd: %w", err)
	}
	p := &pipeline{
		opts: opts, enc: enc, rep: rep,
		pieces:  make(chan piece, opts.Workers),
		uploads: make(chan upload, opts.Uploads),
		seen:    map[block.ID]struct{}{},
	}
	rep.set(Progress{Stage: StageUpload, Total: c.Size})
	if err := p.run(ctx, c); err != nil {
		return p.res, err
	}
	m := &Manifest{MediaType: c.MediaType, Size: p.res.Raw, Blocks: p.refs, Source: c.Source, Annotations: c.Annotations}
	if c.Size >= 0 && c.Size != m.Size {
		return p.res, fmt.Errorf("the source has %d bytes, %d were announced: did it change?", m.Size, c.Size)
	}
	encoded, err := m.Encode()
	if err != nil {
		return p.res, err
	}
	p.res.Manifest, p.res.Blocks = block.Sum(encoded), len(m.Blocks)

	rep.set(Progress{Stage: StageManifest, Done: p.res.Raw, Total: m.Size})
	err = opts.retry(ctx, "upload manifest", func() error {
		return opts.Target.PutManifest(ctx, p.res.Manifest, encoded)
	})
	if err != nil {
		return p.res, err
	}
	return p.res, opts.retry(ctx, "move ref", func() error {
		return opts.Target.PutRef(ctx, opts.Name, p.res.Manifest)
	})
}

// run moves every piece of c through the stages and returns when all are done.
// The first failure stops them; what is in the queues then is released.
func (p *pipeline) run(ctx context.Context, c *Content) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(p.pieces)
		return p.cut(ctx, c)
	})
	g.Go(func() error {
		defer close(p.uploads)
		var workers errgroup.Group
		for range p.opts.Workers {
			workers.Go(func() error { return p.compress(ctx) })
		}
		return workers.Wait()
	})
	for range p.opts.Uploads {
		g.Go(func() error { return p.upload(ctx) })
	}
	err := g.Wait()
	for x := range p.pieces {
		x.raw.Release()
	}
	for u := range p.uploads {
		u.block.Release()
	}
	// The context's own reason says more than what each stage made of it.
	if cause := context.Cause(ctx); err != nil && errors.Is(err, context.Canceled) && cause != nil {
		return cause
	}
	return err
}
