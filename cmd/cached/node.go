package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"syscall"
	"time"

	"github.com/zonecache/cached/account"
	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/prefetch"
	"github.com/zonecache/cached/tiers"
	"github.com/zonecache/cached/tiers/disk"
	"github.com/zonecache/cached/tiers/memory"
	"github.com/zonecache/cached/tiers/origin"
	"github.com/zonecache/cached/tracing"
)

// A node is everything one daemon reads blocks through.
type node struct {
	ledger *account.Ledger
	tracer *tracing.Tracer // nil: nobody traces
	l1     *memory.Tier
	l2     *disk.Tier // nil when L2 is off
	// memory and disk are l1 and l2 as reads see them: drills hide what is there.
	memory, disk *tiers.Curtain // disk is nil when L2 is off
	// l2Problem says why L2 is off although it was configured.
	l2Problem string
	kept      *keepSet // what L2 does not evict
	pinned    []*pin   // what is pinned since an earlier daemon
	origin    *origin.Origin
	catalog   *catalog

	zone *zone // nil when the node has no peers

	ahead    *prefetch.ReadAhead
	packs    *prefetch.Packs
	recorder *prefetch.Recorder // nil, like the three below, where nothing is learned
	library  *prefetch.Library
	packer   *packer
	learner  *learner
	reader   block.Reader // what this host's containers ask

	residents *residents
}

// newNode returns a node that has books, and nothing to count.
func newNode(ctx context.Context, cfg Config, log *slog.Logger) (*node, error) {
	n := &node{}
	books := account.Options{Tenants: cfg.Metrics.Tenants, Owns: func(id block.ID) bool { return n.zone == nil || n.zone.tier.Owns(id) }}
	if cfg.Tracing.Endpoint != "" {
		var err error
		n.tracer, err = tracing.Open(ctx, tracing.Options{
			Endpoint: cfg.Tracing.Endpoint, Sample: cfg.Tracing.Sample, Node: cfg.Zone.Node, Zone: cfg.Zone.Name, Version: versionText(), Logger: log,
		})
		if err != nil {
			return nil, err
		}
		books.Trace = tracing.ID
	}
	n.ledger = account.New(books)
	return n, nil
}

// tier returns a tier whose reads are counted, and traced where that is on.
func (n *node) tier(t block.Tier, r block.Reader) block.Reader {
	return n.tracer.Reader(t, n.ledger.Reader(t, r))
}

// spans is how calls are traced; nil: they are not.
func (n *node) spans() api.Tracer {
	if n.tracer == nil {
		return nil
	}
	return n.tracer
}

// flushFor is how long the last spans may take to leave.
const flushFor = 2 * time.Second

// holds reports whether a block is in the caches of this host.
func (n *node) holds(id block.ID) bool {
	return n.l1.Has(id) && n.memory.Shows(id) || n.l2 != nil && n.l2.Has(id) && n.disk.Shows(id)
}

// seen notes that this host has to do with an image.
func (n *node) seen(image resident) {
	if n.residents != nil {
		n.residents.note(image)
	}
}

// hosts returns how many nodes the zone has.
func (n *node) hosts() int {
	if n.zone == nil {
		return 1
	}
	return max(1, n.zone.ring.Load().Len())
}

func (n *node) open(ctx context.Context, cfg Config, log *slog.Logger) (err error) {
	if n.l1, err = memory.New(memory.Options{Capacity: int64(cfg.L1.Size)}); err != nil {
		return fmt.Errorf("l1: %w", err)
	}
	n.memory = tiers.NewCurtain(n.l1)
	n.kept = newKeepSet()
	n.loadPins(cfg, log) // first: L2 reclaims from its first write on
	if cfg.L2.Size > 0 {
		n.l2, err = disk.Open(disk.Options{
			Dir:               cfg.L2.Dir,
			Capacity:          int64(cfg.L2.Size),
			MinFree:           int64(cfg.L2.MinFree),
			WriteBudgetPerDay: int64(cfg.L2.WriteBudgetPerDay),
			Kept:              n.kept.has,
			Logger:            log.With("tier", "l2"),
		})
		if err != nil {
			if !sickDisk(err) {
				return fmt.Errorf("l2: %w", err)
			}
			// A sick disk makes the cache slow, never down.
			log.Error("serving without L2: its disk cannot be used", "dir", cfg.L2.Dir, "error", err)
			n.l2, n.l2Problem = nil, err.Error()
		}
	}
	n.origin, err = origin.Open(ctx, cfg.Origins, origin.Options{
		Logger:  log.With("tier", "l4"),
		Observe: n.ledger.OriginRequest,
		Wrap: func(name string, r block.Reader) block.Reader {
			return n.ledger.Integrity(block.Origin, tiers.Verify(r))
		},
	})
	if err != nil {
		return err
	}
	n.catalog, err = openCatalog(ctx, n.origin, cfg, log)
	return err
}

// close ends the tiers, nearest first: what L1 holds needs no saving, what L2
// has accepted is written out.
func (n *node) close() error {
	var errs []error
	if n.recorder != nil {
		n.learner.end() // what it learns last must be quick
		errs = append(errs, n.recorder.Close())
		n.learner.close()
	}
	if n.residents != nil {
		n.residents.close()
	}
	if n.ahead != nil {
		errs = append(errs, n.ahead.Close())
	}
	if n.packs != nil {
		errs = append(errs, n.packs.Close())
	}
	if n.zone != nil {
		errs = append(errs, n.zone.close())
	}
	if n.l1 != nil {
		errs = append(errs, n.l1.Close())
	}
	if n.l2 != nil {
		errs = append(errs, n.l2.Close())
	}
	if n.catalog != nil {
		errs = append(errs, n.catalog.close())
	}
	if n.origin != nil {
		errs = append(errs, n.origin.Close())
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushFor)
	defer cancel()
	_ = n.tracer.Close(ctx) // what a collector that does not answer costs is spans
	return errors.Join(errs...)
}

// sizes returns the tiers that are bounded in bytes.
func (n *node) sizes() map[block.Tier]account.Size {
	sizes := map[block.Tier]account.Size{block.Memory: n.l1}
	if n.l2 != nil {
		sizes[block.Disk] = n.l2
	}
	return sizes
}

// sickDisk reports whether err is the fault of the disk and not of the
// configuration. A directory that is missing here could not be made before,
// because the file system is read-only.
func sickDisk(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS) ||
		errors.Is(err, syscall.EIO) || errors.Is(err, fs.ErrNotExist)
}
