package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/prefetch"
)

// A purger drops images from this host's caches.
type purger struct {
	node *node
	pins *pinner
}

var _ api.Purger = (*purger)(nil)

// A holder is an image whose blocks stay, and why.
type holder struct {
	image  string
	reason string
	blocks []prefetch.Block
}

// Purge implements [api.Purger].
func (p *purger) Purge(ctx context.Context, req *cachedv1.PurgeImageRequest, manifest string, open []string) (*cachedv1.PurgeImageResponse, error) {
	id, err := block.ParseID(manifest)
	if err != nil {
		return nil, err
	}
	if err := p.refuse(req, manifest, open); err != nil {
		return nil, err
	}
	blocks, err := p.pins.chooser.wanted(ctx, id, cachedv1.PreparationScope_PREPARATION_SCOPE_ALL)
	if err != nil {
		return nil, err
	}
	holders, err := p.holders(ctx, req.GetImage(), manifest, open)
	if err != nil {
		return nil, err
	}
	if req.GetForce() && p.pinned(req.GetImage()) {
		if _, err := p.pins.Unpin(ctx, req.GetImage()); err != nil {
			return nil, err
		}
	}
	resp := &cachedv1.PurgeImageResponse{ManifestId: manifest}
	var own []block.ID
	lengths := make(map[block.ID]int, len(blocks))
	rows := map[string]*cachedv1.KeptBlocks{}
	holds := holdersOf(holders)
	for _, b := range blocks {
		h, shared := holds[b.ID]
		if !shared {
			own, lengths[b.ID] = append(own, b.ID), b.Length
			continue
		}
		if !p.node.holds(b.ID) {
			continue
		}
		row := rows[h.image]
		if row == nil {
			row = &cachedv1.KeptBlocks{Image: h.image, Reason: h.reason}
			rows[h.image] = row
			resp.Kept = append(resp.Kept, row)
		}
		row.Blocks++
		row.Bytes += uint64(b.Length)
	}
	err = p.drop(ctx, own, func(id block.ID) {
		resp.Blocks++
		resp.Bytes += uint64(lengths[id])
	})
	return resp, err
}

// refuse says no to what others rely on, unless forced.
func (p *purger) refuse(req *cachedv1.PurgeImageRequest, manifest string, open []string) error {
	switch {
	case req.GetForce():
		return nil
	case p.pinned(req.GetImage()):
		return fmt.Errorf("%w: %s is pinned on this host: unpin it first, or force it", api.ErrInvalid, req.GetImage())
	case slices.Contains(open, manifest):
		return fmt.Errorf("%w: %s is open, by a mount or a start that has not closed it: unmount it first, or force it", api.ErrInvalid, req.GetImage())
	}
	return nil
}

func (p *purger) pinned(image string) bool {
	return slices.ContainsFunc(p.pins.List(), func(pin *cachedv1.Pin) bool { return pin.GetImage() == image })
}

// holders returns the other images that this host knows: pinned, open, or seen by
// name. One whose blocks are not known is an error: what it holds must not go.
func (p *purger) holders(ctx context.Context, image, manifest string, open []string) (all []holder, err error) {
	for name, blocks := range p.pins.blocks() {
		if name != image {
			all = append(all, holder{name, "pinned", blocks})
		}
	}
	slices.SortFunc(all, func(a, b holder) int { return strings.Compare(a.image, b.image) })
	add := func(name, reason string, id block.ID) error {
		blocks, err := p.node.catalog.blocks(ctx, id)
		if err != nil {
			return fmt.Errorf("nothing was purged, since what %s holds is not known: %w", name, err)
		}
		all = append(all, holder{name, reason, blocks})
		return nil
	}
	for _, text := range open {
		if id, err := block.ParseID(text); err == nil && text != manifest {
			if err := add(text, "open", id); err != nil {
				return nil, err
			}
		}
	}
	names, err := p.node.catalog.seen(ctx)
	if err != nil {
		return nil, fmt.Errorf("nothing was purged, since the images this host has seen are not known: %w", err)
	}
	for _, ref := range names {
		if ref.Name != image {
			if err := add(ref.Name, "known", ref.Manifest); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// holdersOf returns the first holder of each block.
func holdersOf(all []holder) map[block.ID]holder {
	first := map[block.ID]holder{}
	for _, h := range all {
		for _, b := range h.blocks {
			if _, ok := first[b.ID]; !ok {
				first[b.ID] = h
			}
		}
	}
	return first
}

// drop drops blocks from L1 and L2, and calls gone for each that was in one of them.
func (p *purger) drop(ctx context.Context, ids []block.ID, gone func(block.ID)) error {
	was := map[block.ID]bool{}
	var err error
	if p.node.l2 != nil {
		var dropped []block.ID
		dropped, err = p.node.l2.Drop(ctx, ids)
		for _, id := range dropped {
			was[id] = true
		}
	}
	for _, id := range p.node.l1.Drop(ids) { // after L2, from which it is filled
		was[id] = true
	}
	for id := range was {
		gone(id)
	}
	return err
}
