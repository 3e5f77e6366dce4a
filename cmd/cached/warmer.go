package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/dustin/go-humanize"
	"google.golang.org/protobuf/proto"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// Warming is bounded, on the node whose blocks it is and on the one that asks.
const (
	warmHereAtOnce  = 4 // images on this node, whoever asks
	warmCallsAtOnce = 4 // calls of agents that this node relays
	warmNodesAtOnce = 8 // nodes that one call asks
	tellEvery       = 200 * time.Millisecond
	beatEvery       = time.Second
)

// A warmer brings images onto this node, and has other nodes of the zone do the same.
type warmer struct {
	roster
	chooser chooser
	log     *slog.Logger
	ending  context.Context //nolint:containedctx // of the daemon
	end     context.CancelFunc
	here    chan struct{} // slots
	calls   chan struct{}
}

var (
	_ api.Warmer     = (*warmer)(nil)
	_ api.PeerWarmer = (*warmer)(nil)
)

func newWarmer(n *node, self string, log *slog.Logger) *warmer {
	w := &warmer{
		roster: roster{n, self}, chooser: chooser{n}, log: log,
		here: make(chan struct{}, warmHereAtOnce), calls: make(chan struct{}, warmCallsAtOnce),
	}
	w.ending, w.end = context.WithCancel(context.Background())
	return w
}

// enter takes a place, or says that there is none.
func enter(places chan struct{}, what string) (leave func(), err error) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	default:
		return nil, fmt.Errorf("%d %s already, which is the most: try again later: %w", cap(places), what, block.ErrOverloaded)
	}
}

// within returns ctx that ends with the daemon, too.
func (w *warmer) within(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(w.ending, func() { cancel(fmt.Errorf("the daemon ends: %w", block.ErrUnavailable)) })
	return ctx, func() { stop(); cancel(nil) }
}

// WarmHere implements [api.PeerWarmer].
func (w *warmer) WarmHere(ctx context.Context, req *cachedv1.WarmNodeRequest, tell func(*cachedv1.NodeWarmth) error) error {
	w.log.Debug("a node has this one warmed", "node", req.GetNode(), "image", req.GetImage(), "check", req.GetCheck())
	manifest, err := block.ParseID(req.GetManifestId())
	if err != nil {
		return fmt.Errorf("%w: %w", api.ErrInvalid, err)
	}
	scope, err := scopeOf(req.GetScope())
	if err != nil {
		return err
	}
	leave, err := enter(w.here, "images are warmed on this node")
	if err != nil {
		return err
	}
	defer leave()
	ctx, done := w.within(ctx)
	defer done()
	news := newsOf(tell, beatEvery)
	news.set(warmthOf(tally{}))
	blocks, err := w.chooser.wanted(ctx, manifest, scope)
	switch {
	case err != nil:
	case req.GetCheck():
		news.set(warmthOf(count(blocks, w.node.holds)))
	default:
		err = w.node.bringAll(block.WithCall(ctx, block.Call{Image: req.GetImage()}), blocks, func(t tally) { news.set(warmthOf(t)) })
		w.node.seen(resident{manifest: manifest, name: req.GetImage()})
	}
	return news.end(ctx, err)
}

// warmthOf is a tally on its way.
func warmthOf(t tally) *cachedv1.NodeWarmth {
	return &cachedv1.NodeWarmth{
		State:  cachedv1.WarmState_WARM_STATE_WARMING,
		Blocks: uint64(t.blocks), BlocksHeld: uint64(t.held), Bytes: uint64(t.bytes), BytesHeld: uint64(t.heldBytes),
	}
}

// Warm implements [api.Warmer].
func (w *warmer) Warm(ctx context.Context, req *cachedv1.WarmImageRequest, manifest string, tell func(*cachedv1.NodeWarmth) error) error {
	if _, err := scopeOf(req.GetScope()); err != nil {
		return err
	}
	nodes, err := w.nodes(req.GetNodes())
	if err != nil {
		return err
	}
	leave, err := enter(w.calls, "calls to warm nodes are in progress")
	if err != nil {
		return err
	}
	defer leave()
	ctx, done := w.within(ctx)
	defer done()

	return fanOut(ctx, nodes, warmNodesAtOnce, func(ctx context.Context, to placement.Member, report func(*cachedv1.NodeWarmth)) {
		w.one(ctx, to, req, manifest, report)
	}, tell)
}

// one warms a node, and reports how it is doing, at last how that ended.
func (w *warmer) one(ctx context.Context, to placement.Member, req *cachedv1.WarmImageRequest, manifest string, report func(*cachedv1.NodeWarmth)) {
	last := &cachedv1.NodeWarmth{State: cachedv1.WarmState_WARM_STATE_WARMING}
	told := time.Time{}
	note := func(n *cachedv1.NodeWarmth) {
		last = proto.CloneOf(n)
		last.Node = to.Name
		if now := time.Now(); now.Sub(told) >= tellEvery {
			told = now
			report(proto.CloneOf(last))
		}
	}
	note(last)
	ask := &cachedv1.WarmNodeRequest{Image: req.GetImage(), ManifestId: manifest, Scope: req.GetScope(), Check: req.GetCheck()}
	var err error
	switch {
	case to.Name == w.self:
		ask.Node = w.self
		err = w.WarmHere(ctx, ask, func(n *cachedv1.NodeWarmth) error { note(n); return ctx.Err() })
	case to.Address == "":
		err = fmt.Errorf("this node does not know its address: %w", block.ErrUnavailable)
	default:
		err = w.node.zone.nodes.Warm(ctx, to, ask, note)
	}
	last.State, last.Node = cachedv1.WarmState_WARM_STATE_DONE, to.Name
	if err != nil {
		last.State, last.Problem = cachedv1.WarmState_WARM_STATE_FAILED, err.Error()
	}
	report(last)
}

func bytesText(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
