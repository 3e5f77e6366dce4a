package main

import (
	"context"
	"fmt"

	"github.com/zonecache/cached/agent"
	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/image"
)

// Explain implements [api.Admin].
func (a *adminService) Explain(ctx context.Context, req *cachedv1.ExplainImageRequest) (*cachedv1.ExplainImageResponse, error) {
	if err := agent.CheckName(req.GetImage()); err != nil {
		return nil, fmt.Errorf("%w: %w", api.ErrInvalid, err)
	}
	known, err := a.holders.answer(ctx, question{req.GetImage(), req.GetWorkload()})
	if err != nil {
		return nil, err
	}
	e, err := a.node.catalog.Open(ctx, known.manifest.String())
	if err != nil {
		return nil, err
	}
	resp := &cachedv1.ExplainImageResponse{Basis: known.basis, Blocks: known.set.blocks}
	if a.node.zone != nil {
		resp.Admission = a.node.zone.cfg.L2Admit
	}
	if w := a.diskWarnings(); len(w) > 0 {
		resp.DiskProblem = w[0]
	}
	places := placer{node: a.node, noDisk: a.node.l2 == nil || resp.GetDiskProblem() != "", resp: resp, rows: map[place]*cachedv1.Count{}}
	places.look(e.Manifest, known.set)
	return resp, nil
}

// A place is where blocks are, or why they are not here and whose they are then.
type place struct {
	state cachedv1.BlockState
	owner string
}

// A placer finds out where blocks are.
type placer struct {
	node   *node
	noDisk bool // L2 takes no blocks
	resp   *cachedv1.ExplainImageResponse
	rows   map[place]*cachedv1.Count
}

// look counts the blocks of a set, each once.
func (p *placer) look(m *image.Manifest, set blockSet) {
	seen := map[block.ID]bool{}
	add := func(b image.BlockRef) {
		if seen[b.ID] {
			return
		}
		seen[b.ID] = true
		p.resp.Looked++
		at := p.find(b.ID)
		row := p.rows[at]
		if row == nil {
			row = &cachedv1.Count{}
			p.rows[at] = row
			p.resp.Places = append(p.resp.Places, &cachedv1.BlockPlace{State: at.state, Owner: at.owner, Count: row})
		}
		row.Blocks++
		row.Bytes += uint64(b.Stored)
	}
	if set.sample == nil {
		for _, b := range m.Blocks {
			add(b)
		}
		return
	}
	for _, i := range set.sample {
		add(m.Blocks[i])
	}
}

// find says where a block is. What L2 has evicted it had; else, what another node owns
// may have been read here any number of times without being kept.
func (p *placer) find(id block.ID) place {
	n := p.node
	switch {
	case n.l1.Has(id):
		return place{state: cachedv1.BlockState_BLOCK_STATE_MEMORY}
	case n.l2 != nil && n.l2.Has(id):
		return place{state: cachedv1.BlockState_BLOCK_STATE_DISK}
	}
	at := place{state: cachedv1.BlockState_BLOCK_STATE_NOT_READ, owner: p.owner(id)}
	switch {
	case p.noDisk:
		at.state = cachedv1.BlockState_BLOCK_STATE_NO_DISK
	case n.l2.Evicted(id):
		at.state = cachedv1.BlockState_BLOCK_STATE_EVICTED
	case at.owner != "" && p.resp.GetAdmission() != "always":
		at.state = cachedv1.BlockState_BLOCK_STATE_NOT_ADMITTED
	}
	return at
}

// owner returns the node that owns a block, "" where it is this one.
func (p *placer) owner(id block.ID) string {
	if p.node.zone == nil {
		return ""
	}
	m, ok := p.node.zone.ring.Load().Owner(id)
	if !ok || m.Name == p.node.zone.cfg.Node {
		return ""
	}
	return m.Name
}
