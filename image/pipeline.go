package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/zonecache/cached/block"
)

// A pipeline is one publish under way: cut -> compress -> upload.
type pipeline struct {
	opts PublishOptions
	enc  *zstd.Encoder
	rep  *reporter

	pieces  chan piece
	uploads chan upload

	mu   sync.Mutex
	refs []BlockRef
	seen map[block.ID]struct{} // blocks of this image that are uploaded or on their way
	zero BlockRef              // the block of a whole window of zeros, once there was one
	res  Result
}

// A piece is a cut run of the image, on its way to be compressed.
type piece struct {
	index int
	raw   *block.Buffer
	zero  bool
}

// An upload is a block that this image has not uploaded yet.
type upload struct {
	block block.Block
	ref   BlockRef
}

// cutterOf returns what cuts c.
func cutterOf(c *Content, by Cut) (*Cutter, error) {
	switch {
	case by == CutContent:
		return NewCutter(c.Bytes, c.Starts)
	case c.MediaType != MediaTypeBytes:
		return nil, fmt.Errorf("only bytes of any kind can be cut into pages, not %s", c.MediaType)
	}
	return newPages(c.Bytes), nil
}

// cut is the first stage: it copies each piece into a buffer of its own.
func (p *pipeline) cut(ctx context.Context, c *Content) error {
	cutter, err := cutterOf(c, p.opts.Cut)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		cp, err := cutter.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if cp.Zero && p.repeatZero(i) {
			continue
		}
		raw := p.opts.Pool.Get(len(cp.Bytes))
		copy(raw.Bytes(), cp.Bytes)
		select {
		case p.pieces <- piece{index: i, raw: raw, zero: cp.Zero}:
		case <-ctx.Done():
			raw.Release()
			return ctx.Err()
		}
	}
}

// repeatZero enters the block of zeros at i without making it again, if it was
// made before.
func (p *pipeline) repeatZero(i int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.zero.Length == 0 {
		return false
	}
	p.enterLocked(i, p.zero)
	return true
}

// enterLocked notes ref as the block at i and reports whether the image has it
// for the first time.
func (p *pipeline) enterLocked(i int, ref BlockRef) bool {
	for len(p.refs) <= i {
		p.refs = append(p.refs, BlockRef{})
	}
	p.refs[i] = ref
	p.res.Raw += int64(ref.Length)
	p.rep.done(int64(ref.Length))
	if _, ok := p.seen[ref.ID]; ok {
		p.res.Repeated.add(ref)
		return false
	}
	p.seen[ref.ID] = struct{}{}
	p.res.Stored += int64(ref.Stored)
	return true
}

// compress is the second stage: it gives pieces their stored form and name.
func (p *pipeline) compress(ctx context.Context) error {
	for x := range p.pieces {
		if ctx.Err() != nil {
			x.raw.Release()
			return ctx.Err()
		}
		b, ref := encode(p.enc, p.opts.Pool, x.raw)
		p.mu.Lock()
		first := p.enterLocked(x.index, ref)
		if x.zero {
			p.zero = ref
		}
		p.mu.Unlock()
		if !first {
			b.Release()
			continue
		}
		select {
		case p.uploads <- upload{b, ref}:
		case <-ctx.Done():
			b.Release()
			return ctx.Err()
		}
	}
	return nil
}

// upload is the last stage.
func (p *pipeline) upload(ctx context.Context) error {
	for u := range p.uploads {
		isNew, err := p.send(ctx, u.block)
		u.block.Release()
		if err != nil {
			return err
		}
		p.mu.Lock()
		if isNew {
			p.res.New.add(u.ref)
		} else {
			p.res.Shared.add(u.ref)
		}
		p.mu.Unlock()
		p.rep.sent(int64(u.ref.Stored), isNew)
	}
	return nil
}

// send uploads b unless the target has it. What is there under its name but is
// found to be something else is replaced.
func (p *pipeline) send(ctx context.Context, b block.Block) (isNew bool, err error) {
	err = p.opts.retry(ctx, "upload block", func() error {
		has, err := p.has(ctx, b)
		if err != nil || has {
			return err
		}
		if err := p.opts.Target.PutBlock(ctx, b); err != nil {
			return err
		}
		isNew = true
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("block %s: %w", b.ID().Short(), err)
	}
	return isNew, nil
}

func (p *pipeline) has(ctx context.Context, b block.Block) (bool, error) {
	if p.opts.Verify == VerifyBytes {
		return p.opts.Target.VerifyBlock(ctx, b.ID())
	}
	return p.opts.Target.HasBlock(ctx, b.ID(), int64(b.Len()))
}
