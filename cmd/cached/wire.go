package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/prefetch"
	"github.com/zonecache/cached/tiers"
)

// leastOriginReads is how many reads of the origin a node has in progress however
// slow the origin is.
const leastOriginReads = 4

// diskAhead is how many reads of L2 that no program waits for are in progress: as many
// as an NVMe disk needs to give about all it can.
const diskAhead = 8

// wire opens the tiers and joins them. This is the architecture diagram: the
// order of concerns on a block's way is decided here and nowhere else.
func wire(ctx context.Context, cfg Config, log *slog.Logger) (*node, error) {
	n, err := newNode(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	if err := n.open(ctx, cfg, log); err != nil {
		return nil, errors.Join(err, n.close())
	}

	l1 := n.tier(block.Memory, n.memory)
	l1Again := tiers.Recheck(n.memory, n.l1.Has) // in a flight: counts no second use of what is missed
	var l2 block.Store
	if n.l2 != nil {
		// What may be needed later leaves most of the disk to what programs wait for.
		n.disk = tiers.NewCurtain(struct {
			block.Reader
			block.Writer
		}{tiers.Background(n.l2, diskAhead), n.l2})
		l2 = n.disk
	}
	// One flight per block across all who miss; each origin's bytes are checked
	// below the fail-over (see open), so that wrong ones are read elsewhere.
	l4 := tiers.CountedFlight(n.tier(block.Origin, tiers.Yield(tiers.Govern(n.origin, leastOriginReads, cfg.Limits.OriginReads))), n.ledger.Joined())

	// caches puts this host's tiers above next. The flight fills L1 before it ends;
	// the Fallback outside of it lets a hit take off without one.
	// What starts are expected to read is there in large parts, too, see prefetch.Packs.
	var parts block.Reader
	n.packs = prefetch.NewPacks(prefetch.PacksOptions{Held: n.holds, Logger: log, Reader: block.ReaderFunc(
		func(ctx context.Context, id block.ID) (block.Block, error) { return parts.ReadBlock(ctx, id) },
	)})
	caches := func(next block.Reader, admit tiers.Admit) block.Reader {
		next = n.ledger.Brought(tiers.Fallback(n.packs, next))
		if n.l2 != nil {
			next = tiers.ReadThrough(n.tracer.Store(block.Disk, n.ledger.Store(block.Disk, l2)), next, admit)
		}
		return tiers.Fallback(l1, tiers.CountedFlight(tiers.ReadThrough(l1Again, next, tiers.Always), n.ledger.Joined()))
	}
	if cfg.Zone.Name == "" {
		parts = l4
		n.serve(caches(l4, tiers.Always), prefetch.Options{}, cfg, log)
		return n, nil
	}

	held := tiers.Fallback(l1, n.packs.Parts()) // what peers may have of a block this node does not own
	if n.l2 != nil {
		held = tiers.Fallback(held, tiers.Flight(tiers.ReadThrough(l1Again, n.tier(block.Disk, l2), tiers.Always)))
	}
	if n.zone, err = newZone(cfg.Zone, held, n.spans(), log); err != nil {
		return nil, errors.Join(err, n.close())
	}
	l3 := n.zone.tier
	// Owned blocks: the origin is read for the whole zone, unless the next holder
	// has the block. Others: their owner is asked; the origin is the last resort.
	local := caches(tiers.Fallback(n.tier(block.Peer, l3.Heirs()), l3.Origin(l4)), tiers.Always)
	peers := tiers.Fallback(n.tier(block.Peer, tiers.Yield(l3)), local)
	remote := caches(peers, n.ledger.Admission(block.Disk, n.zone.admit))
	parts = tiers.Choose(l3.Owns, local, peers) // kept by their owners only
	all := tiers.Choose(l3.Owns, local, remote)
	l3.SetLocal(local) // what peers may have of a block this node owns; it never asks a peer's owner again
	l3.SetPull(all)
	n.serve(all, n.zone.ahead(), cfg, log)
	return n, nil
}

// aheadShare is the part of L1 that may be read ahead: half of what L1 keeps of
// new blocks, since the other half may come from elsewhere meanwhile.
const aheadShare = 8

// serve makes all what this host's programs ask, what is read ahead of them, and
// what is learned from them.
func (n *node) serve(all block.Reader, ahead prefetch.Options, cfg Config, log *slog.Logger) {
	requests := n.ledger.Requests(all)
	ahead.Budget, ahead.Logger = max(int64(cfg.L1.Size)/aheadShare, 1), log
	n.ahead = prefetch.NewReadAhead(requests, ahead)
	n.reader = n.ahead.Watch(requests)
	n.residents = newResidents(n, cfg.Zone.Node, filepath.Join(cfg.DataDir, "residents.json"), log)
	if n.zone != nil {
		n.zone.residency = n.residents.table
	}
	if !cfg.Prefetch {
		return
	}
	n.library = prefetch.NewLibrary(prefetch.LibraryOptions{
		Shelf: originShelf{n.origin}, Reader: asPrefetch(requests), Blocks: n.catalog.blocks, Logger: log,
	})
	n.packer = newPacker(n, asPrefetch(requests), log)
	n.learner = newLearner(n.library, n.packer, n.hosts, log)
	n.learner.told = n.residents.learned
	n.recorder = prefetch.NewRecorder(prefetch.RecorderOptions{Done: n.learner.learn})
	n.reader = n.recorder.Watch(n.reader)
}

// asPrefetch returns next for reads that no program waits for.
func asPrefetch(next block.Reader) block.Reader {
	return block.ReaderFunc(func(ctx context.Context, id block.ID) (block.Block, error) {
		call := block.CallFrom(ctx)
		call.Cause = block.Prefetch
		return next.ReadBlock(block.WithCall(ctx, call), id)
	})
}
