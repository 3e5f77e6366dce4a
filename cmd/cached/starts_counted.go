package main

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement/residency"
)

// lookedAtStart is at how many blocks a start looks before it begins: few, since its
// program waits, and enough to tell nothing from half.
const lookedAtStart = 64

// countedStarts counts starts by how much of what they need this host holds when they
// begin, which is before anything is read for them.
type countedStarts struct {
	api.Starts
	node  *node
	total *prometheus.CounterVec
}

func newCountedStarts(next api.Starts, n *node) *countedStarts {
	c := &countedStarts{next, n, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "cached_starts_total",
		Help: "Starts that opened an image, by how much this host held just then of what starts of their workload are known to need, or else of the image: nothing (none), less than half (some), more (most), as a sample of it tells.",
	}, []string{"held"})}
	for _, share := range []residency.Share{0, 1, residency.All} {
		c.total.WithLabelValues(heldName(share))
	}
	return c
}

func heldName(share residency.Share) string {
	switch {
	case share == 0:
		return "none"
	case share < residency.All/2:
		return "some"
	}
	return "most"
}

// Began implements [api.Starts].
func (c *countedStarts) Began(ctx context.Context, session string, req *cachedv1.OpenImageRequest, image *cachedv1.GetImageResponse) {
	c.total.WithLabelValues(heldName(c.held(ctx, image.GetManifestId(), req.GetWorkload()))).Inc()
	c.Starts.Began(ctx, session, req, image)
}

// held returns how much of what a start needs this host holds. The catalog has just
// had the manifest; one that it has lost since counts as nothing held.
func (c *countedStarts) held(ctx context.Context, manifest, workload string) residency.Share {
	e, err := c.node.catalog.Open(ctx, manifest)
	if err != nil {
		return 0
	}
	return c.node.share(e.Manifest, c.node.residents.needed(e.Ref.Manifest, workload), lookedAtStart)
}

// needed returns what starts of a workload are known here to need; all blocks, where
// nothing is.
func (r *residents) needed(id block.ID, workload string) *blockSet {
	r.mu.Lock()
	defer r.mu.Unlock()
	is, ok := r.images.Peek(id)
	if !ok || is.needs == nil {
		return &blockSet{}
	}
	set := is.needs.workloads[workload]
	if workload == "" {
		set = is.needs.starts
	}
	if set == nil {
		return &blockSet{}
	}
	return set
}
