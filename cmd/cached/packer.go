package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/prefetch"
	"github.com/zonecache/cached/tiers/origin"
)

// When a pack is made, and how large it may be.
const (
	leastPacked = 4 << 20 // bytes that are essential; less are a few requests anyway
	mostPacked  = 1 << 30 // bytes
	movedEnough = 0.1     // of the bytes, for a new one
	mostGone    = 10      // of the bytes, one in so many may have left the caches
	packFresh   = time.Minute
	maxPacks    = 256 // remembered
)

// A packer finds the packs of workloads in the origin, and makes them.
type packer struct {
	origin  *origin.Origin
	library *prefetch.Library
	images  func(ctx context.Context, manifest block.ID) ([]prefetch.Block, error)
	reader  block.Reader // through the tiers, for what no program waits for
	held    func(block.ID) bool
	log     *slog.Logger
	known   *lru.Cache[prefetch.Workload, knownPack]
	making  chan struct{} // one at a time
}

type knownPack struct {
	pack  *prefetch.Pack // nil: there is none
	id    block.ID
	asked time.Time
}

func newPacker(n *node, reader block.Reader, log *slog.Logger) *packer {
	known, err := lru.New[prefetch.Workload, knownPack](maxPacks)
	if err != nil { // only for a size below one
		panic(err)
	}
	return &packer{origin: n.origin, library: n.library, images: n.catalog.blocks, reader: reader, held: n.holds, log: log, known: known, making: make(chan struct{}, 1)}
}

// find returns a workload's pack, and its id; block.ErrNotFound when it has none. One
// that is known is good while the origin is away.
func (p *packer) find(ctx context.Context, w prefetch.Workload, blocks int) (*prefetch.Pack, block.ID, error) {
	was, ok := p.known.Get(w)
	if !ok || time.Since(was.asked) >= packFresh {
		id, err := p.origin.Pack(ctx, origin.Workload(w))
		switch {
		case errors.Is(err, block.ErrNotFound):
			was = knownPack{asked: time.Now()}
		case err != nil && was.pack != nil:
			return was.pack, was.id, nil
		case err != nil:
			return nil, id, err
		case !ok || id != was.id:
			pack, err := p.open(ctx, w, id, blocks)
			if err != nil {
				return nil, id, err
			}
			was = knownPack{pack, id, time.Now()}
		default:
			was.asked = time.Now()
		}
		p.known.Add(w, was)
	}
	if was.pack == nil {
		return nil, was.id, fmt.Errorf("no pack of %s %q: %w", w.Manifest.Short(), w.Name, block.ErrNotFound)
	}
	return was.pack, was.id, nil
}

func (p *packer) open(ctx context.Context, w prefetch.Workload, id block.ID, blocks int) (*prefetch.Pack, error) {
	b, err := p.reader.ReadBlock(ctx, id)
	if err != nil {
		return nil, err
	}
	defer b.Release()
	pack, err := prefetch.DecodePack(b.Bytes(), blocks)
	if err == nil && pack.Image != w.Manifest {
		err = fmt.Errorf("%w: it is of image %s, not %s", prefetch.ErrPack, pack.Image.Short(), w.Manifest.Short())
	}
	return pack, err
}

// update makes a workload's pack anew when what is essential has moved enough.
func (p *packer) update(ctx context.Context, w prefetch.Workload) error {
	select {
	case p.making <- struct{}{}:
		defer func() { <-p.making }()
	case <-ctx.Done():
		return ctx.Err()
	}
	profile, err := p.library.Profile(ctx, w, "")
	if err != nil {
		return err
	}
	blocks, err := p.images(ctx, w.Manifest)
	if err != nil {
		return err
	}
	order, bytes, gone := profile.Essential(prefetch.DefaultShare), 0, 0
	for _, i := range order {
		if int(i) >= len(blocks) {
			continue
		}
		bytes += blocks[i].Length
		if !p.held(blocks[i].ID) {
			gone += blocks[i].Length
		}
	}
	// A host whose caches have dropped them already leaves it to another: the origin is
	// not read for it.
	if bytes < leastPacked || bytes > mostPacked || gone > bytes/mostGone {
		return nil
	}
	switch old, _, err := p.find(ctx, w, len(blocks)); {
	case err == nil && old.Moved(order, blocks) < movedEnough:
		return nil
	case err != nil && !errors.Is(err, block.ErrNotFound) && !errors.Is(err, prefetch.ErrPack) && !errors.Is(err, block.ErrCorrupt):
		return err // what is damaged is replaced
	}
	began := time.Now()
	pack := &prefetch.Pack{Image: w.Manifest}
	for _, members := range prefetch.Lay(order, blocks) {
		part, err := p.lay(ctx, members, blocks)
		if err != nil {
			return err
		}
		pack.Parts = append(pack.Parts, part)
	}
	content, err := pack.Encode()
	if err != nil {
		return err
	}
	id, err := p.store(ctx, content)
	if err != nil {
		return err
	}
	if err := p.origin.PutPack(ctx, origin.Workload(w), id); err != nil {
		return err
	}
	p.known.Add(w, knownPack{pack, id, time.Now()})
	p.log.Info("laid together what a workload's starts read", "manifest", w.Manifest.Short(), "workload", w.Name,
		"blocks", len(order), "bytes", bytes, "parts", len(pack.Parts), "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// lay stores one part of a pack.
func (p *packer) lay(ctx context.Context, members []uint32, blocks []prefetch.Block) (prefetch.Part, error) {
	var content []byte
	for _, i := range members {
		b, err := p.reader.ReadBlock(ctx, blocks[i].ID)
		if err != nil {
			return prefetch.Part{}, err
		}
		content = append(content, b.Bytes()...)
		b.Release()
	}
	id, err := p.store(ctx, content)
	return prefetch.Part{ID: id, Blocks: members}, err
}

// store puts a block into the origin, unless it is there.
func (p *packer) store(ctx context.Context, content []byte) (block.ID, error) {
	b := block.New(content, block.Origin)
	defer b.Release()
	has, err := p.origin.HasBlock(ctx, b.ID(), int64(b.Len()))
	if err == nil && !has {
		err = p.origin.PutBlock(ctx, b)
	}
	return b.ID(), err
}
