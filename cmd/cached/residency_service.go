package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/zonecache/cached/agent"
	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/placement/residency"
)

// A scheduler does not wait for the origin: what it asked about lately is answered
// from memory, and found out anew behind its back.
const (
	maxQuestions  = 1024             // remembered
	answerFresh   = 2 * time.Second  // what a name points at, as in the catalogue
	needsFresh    = time.Minute      // what starts need, as in the library
	answerUseful  = 10 * time.Minute // older ones are found out while the scheduler waits
	answerWithin  = 2 * time.Second  // what starts need; without it the answer is of all of the image
	lookedToReply = 256              // blocks of an image that this host has nothing to do with
)

// holders answers api.Residency from what the zone tells, without asking anybody.
type holders struct {
	node      *node
	residents *residents
	questions *lru.Cache[question, answer]
	asking    singleflight.Group
	nodes     atomic.Pointer[zoneNodes]
	log       *slog.Logger
	ending    context.Context //nolint:containedctx // of the daemon
	end       context.CancelFunc

	work sync.WaitGroup

	mu         sync.Mutex
	closed     bool
	refreshing map[question]bool
}

// A question is what a scheduler asks.
type question struct{ image, workload string }

// An answer is what does not depend on the nodes.
type answer struct {
	manifest block.ID
	stale    bool
	basis    cachedv1.ResidencyBasis
	key      residency.Key
	instead  residency.Key // who holds all of that holds all of this
	set      blockSet
	at       time.Time
	needsAt  time.Time // zero: they could not be found out
}

var _ api.Residency = (*holders)(nil)

func newHolders(n *node, r *residents, log *slog.Logger) *holders {
	questions, err := lru.New[question, answer](maxQuestions)
	if err != nil { // only for a size below one
		panic(err)
	}
	h := &holders{node: n, residents: r, questions: questions, refreshing: map[question]bool{}, log: log}
	h.ending, h.end = context.WithCancel(context.Background())
	return h
}

// GetResidency implements [api.Residency].
func (h *holders) GetResidency(ctx context.Context, req *cachedv1.GetResidencyRequest) (*cachedv1.GetResidencyResponse, error) {
	if err := agent.CheckName(req.GetImage()); err != nil {
		return nil, fmt.Errorf("%w: %w", api.ErrInvalid, err)
	}
	a, err := h.answer(ctx, question{req.GetImage(), req.GetWorkload()})
	if err != nil {
		return nil, err
	}
	resp := &cachedv1.GetResidencyResponse{ManifestId: a.manifest.String(), Basis: a.basis, Blocks: a.set.blocks, Bytes: a.set.bytes, Stale: a.stale}
	known := h.residents.table.Holders(a.key, a.instead, time.Now())
	h.list(resp, h.withSelf(ctx, known, a.manifest, &a.set), req)
	return resp, nil
}

// withSelf adds how much this host holds, if it has not said so.
func (h *holders) withSelf(ctx context.Context, known []residency.Holder, manifest block.ID, set *blockSet) []residency.Holder {
	self := h.residents.table.Self()
	if slices.ContainsFunc(known, func(k residency.Holder) bool { return k.Node == self }) {
		return known
	}
	e, err := h.node.catalog.Open(ctx, manifest.String())
	if err != nil {
		return known
	}
	mine := residency.Holder{Node: self, Share: h.node.share(e.Manifest, set, lookedToReply)}
	i := 0
	for i < len(known) && (known[i].Share > mine.Share || known[i].Share == mine.Share && known[i].Node < self) {
		i++
	}
	return slices.Insert(known, i, mine)
}

// list fills in the nodes that are in the zone.
func (h *holders) list(resp *cachedv1.GetResidencyResponse, known []residency.Holder, req *cachedv1.GetResidencyRequest) {
	zone := h.zone()
	known = slices.DeleteFunc(known, func(k residency.Holder) bool {
		_, ok := zone.address[k.Node] // else it drains, or has left
		return !ok
	})
	limit := len(zone.members)
	if req.GetLimit() > 0 {
		limit = min(limit, int(req.GetLimit()))
	}
	// Their memory at once: there may be a thousand.
	shown := known[:min(len(known), limit)]
	nodes, ages, shares := make([]cachedv1.NodeResidency, len(shown)), make([]durationpb.Duration, len(shown)), make([]float64, len(shown))
	for i, k := range shown {
		n := &nodes[i]
		ages[i].Seconds, shares[i] = int64(k.Age/time.Second), k.Share.Part()
		n.Node, n.Address, n.Share, n.Age = k.Node, zone.address[k.Node], &shares[i], &ages[i]
		resp.Nodes = append(resp.Nodes, n)
	}
	resp.Unknown = uint64(len(zone.members) - len(known))
	if !req.GetIncludeUnknown() || resp.GetUnknown() == 0 {
		return
	}
	said := make(map[string]bool, len(known))
	for _, k := range known {
		said[k.Node] = true
	}
	for _, m := range zone.members { // by name
		if len(resp.GetNodes()) < limit && !said[m.Name] {
			resp.Nodes = append(resp.Nodes, &cachedv1.NodeResidency{Node: m.Name, Address: m.Address})
			resp.Unknown--
		}
	}
}

// A zoneNodes is whom starts can be placed on.
type zoneNodes struct {
	ring    *placement.Ring // nil: there is no zone
	members []placement.Member
	address map[string]string
}

// zone returns the nodes of the ring, which are made ready once for each ring.
func (h *holders) zone() *zoneNodes {
	var ring *placement.Ring
	members := []placement.Member{{Name: h.residents.table.Self()}}
	if h.node.zone != nil {
		ring = h.node.zone.ring.Load()
		members = ring.Members()
	}
	if was := h.nodes.Load(); was != nil && was.ring == ring {
		return was
	}
	now := &zoneNodes{ring, members, make(map[string]string, len(members))}
	for _, m := range members {
		now.address[m.Name] = m.Address
	}
	h.nodes.Store(now)
	return now
}

// answer returns what is remembered, if it is of use still, and else finds it out.
func (h *holders) answer(ctx context.Context, q question) (answer, error) {
	was, ok := h.questions.Get(q)
	switch age := time.Since(was.at); {
	case ok && age < answerFresh && was.fresh():
		return was, nil
	case ok && age < answerUseful:
		h.refresh(q)
		return was, nil
	}
	return h.find(ctx, q)
}

// fresh reports whether what starts need was found out lately.
func (a answer) fresh() bool { return time.Since(a.needsAt) < needsFresh }

// refresh finds an answer out anew, once at a time.
func (h *holders) refresh(q question) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.refreshing[q] {
		return
	}
	h.refreshing[q] = true
	h.work.Go(func() {
		_, err := h.find(h.ending, q)
		if errors.Is(err, block.ErrNotFound) || errors.Is(err, api.ErrNotFound) {
			h.questions.Remove(q)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.refreshing, q)
	})
}

// begin reports whether there is time for work, which ends with work.Done.
func (h *holders) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.work.Add(1)
	}
	return !h.closed
}

// find finds an answer out, once for all who ask.
func (h *holders) find(ctx context.Context, q question) (answer, error) {
	done := h.asking.DoChan(q.image+"\x00"+q.workload, func() (any, error) {
		if !h.begin() {
			return nil, fmt.Errorf("the daemon ends: %w", block.ErrUnavailable)
		}
		defer h.work.Done()
		ctx, cancel := context.WithTimeout(h.ending, askWithin)
		defer cancel()
		return h.findNow(ctx, q)
	})
	select {
	case r := <-done:
		if r.Err != nil {
			return answer{}, r.Err
		}
		return r.Val.(answer), nil
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
}

func (h *holders) findNow(ctx context.Context, q question) (answer, error) {
	e, err := h.node.catalog.open(ctx, q.image)
	if err != nil {
		return answer{}, err
	}
	was, ok := h.questions.Peek(q)
	same := ok && was.manifest == e.Ref.Manifest
	if same && was.fresh() && !h.outdone(q, was) {
		was.stale, was.at = e.Stale, time.Now()
		h.questions.Add(q, was)
		return was, nil
	}
	d, err := h.needs(ctx, q, e.Ref.Manifest)
	now := answer{manifest: e.Ref.Manifest}
	if err == nil {
		now.about(q, d)
		now.needsAt = time.Now()
	} else if h.log.Debug("what starts of an image need is not known", "image", q.image, "error", err); same {
		now = was // until the origin is back
	} else {
		now.about(q, newNeeds(e.Manifest, nil))
	}
	now.stale, now.at = e.Stale, time.Now()
	h.questions.Add(q, now)
	return now, nil
}

// outdone reports whether other nodes know more of what starts need than an answer
// is about.
func (h *holders) outdone(q question, a answer) bool {
	says := h.residents.table.Says
	switch a.basis {
	case cachedv1.ResidencyBasis_RESIDENCY_BASIS_WORKLOAD:
		return false
	case cachedv1.ResidencyBasis_RESIDENCY_BASIS_IMAGE:
		if says(residency.Starts(a.manifest)) {
			return true
		}
	default:
	}
	return q.workload != "" && says(residency.Workload(a.manifest, q.workload))
}

// about chooses which set the answer is about.
func (a *answer) about(q question, d *needs) {
	whole := residency.Whole(a.manifest)
	w := d.workloads[q.workload]
	switch {
	case w != nil:
		a.basis, a.key, a.instead, a.set = cachedv1.ResidencyBasis_RESIDENCY_BASIS_WORKLOAD, residency.Workload(a.manifest, q.workload), whole, *w
	case d.starts != nil:
		a.basis, a.key, a.instead, a.set = cachedv1.ResidencyBasis_RESIDENCY_BASIS_STARTS, residency.Starts(a.manifest), whole, *d.starts
	default:
		a.basis, a.key, a.set = cachedv1.ResidencyBasis_RESIDENCY_BASIS_IMAGE, whole, d.whole
	}
	a.set.sample = spread(a.set.sample, lookedToReply)
}

// needs returns what starts of the image need.
func (h *holders) needs(ctx context.Context, q question, manifest block.ID) (*needs, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	name := q.image
	if isID(name) {
		name = ""
	}
	d, err := findNeeds(ctx, h.node, manifest, name, append([]string{q.workload}, h.residents.workloads(manifest)...))
	if err == nil {
		h.residents.found(manifest, d)
	}
	return d, err
}

// close waits for what is being found out.
func (h *holders) close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.end()
	h.work.Wait()
}

// guardedResidency is for images that a tenant may read.
type guardedResidency struct {
	door   *door
	behind api.Residency
}

var _ api.Residency = guardedResidency{}

// GetResidency implements [api.Residency].
func (g guardedResidency) GetResidency(ctx context.Context, req *cachedv1.GetResidencyRequest) (*cachedv1.GetResidencyResponse, error) {
	if err := agent.CheckName(req.GetImage()); err != nil {
		return nil, fmt.Errorf("%w: %w", api.ErrInvalid, err)
	}
	if err := g.door.checker.Image(ctx, req.GetImage()); err != nil {
		return nil, err
	}
	return g.behind.GetResidency(ctx, req)
}
