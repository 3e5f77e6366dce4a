package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/zonecache/cached/account"
	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/tiers"
)

// A driller has this node take part in drills, and asks other nodes of the zone to. A
// drill is a call: when whoever began it is gone, the caches are shown again.
type driller struct {
	roster
	log    *slog.Logger
	ending context.Context //nolint:containedctx // of the daemon
	end    context.CancelFunc
	turn   chan struct{} // full while this node is in a drill
}

var (
	_ api.Drills      = (*driller)(nil)
	_ api.PeerDriller = (*driller)(nil)
)

func newDriller(n *node, self string, log *slog.Logger) *driller {
	d := &driller{roster: roster{n, self}, log: log, turn: make(chan struct{}, 1)}
	d.ending, d.end = context.WithCancel(context.Background())
	return d
}

// drillEnds is how long a drill may take to hear that its caller has left.
const drillEnds = 3 * time.Second

// drillsAtOnce is how many nodes one call asks: all of a zone.
const drillsAtOnce = 4096

// Drill implements [api.Drills].
func (d *driller) Drill(ctx context.Context, req *cachedv1.DrillZoneRequest, tell func(*cachedv1.NodeDrill) error) error {
	nodes, err := d.nodes(req.GetNodes())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(d.ending, func() { cancel(fmt.Errorf("the daemon ends: %w", block.ErrUnavailable)) })()
	return fanOut(ctx, nodes, drillsAtOnce, func(ctx context.Context, to placement.Member, report func(*cachedv1.NodeDrill)) {
		d.one(ctx, to, req, report)
	}, tell)
}

// one has a node take part, and reports how it is doing, at last how that ended.
func (d *driller) one(ctx context.Context, to placement.Member, req *cachedv1.DrillZoneRequest, report func(*cachedv1.NodeDrill)) {
	last := &cachedv1.NodeDrill{Node: to.Name}
	note := func(n *cachedv1.NodeDrill) {
		last = proto.CloneOf(n)
		last.Node = to.Name
		report(proto.CloneOf(last))
	}
	ask := &cachedv1.DrillNodeRequest{Before: req.GetBefore(), Empty: req.GetEmpty()}
	var err error
	switch {
	case to.Name == d.self:
		ask.Node = d.self
		err = d.DrillHere(ctx, ask, func(n *cachedv1.NodeDrill) error { note(n); return ctx.Err() })
	case to.Address == "":
		err = fmt.Errorf("this node does not know its address: %w", block.ErrUnavailable)
	default:
		err = d.node.zone.nodes.Drill(ctx, to, ask, note)
	}
	if err == nil && last.GetState() != cachedv1.DrillState_DRILL_STATE_DONE {
		err = errors.New("it stopped before the end")
	}
	if err != nil {
		last.State, last.Problem = cachedv1.DrillState_DRILL_STATE_FAILED, err.Error()
		report(last)
	}
}

// DrillHere implements [api.PeerDriller].
func (d *driller) DrillHere(ctx context.Context, req *cachedv1.DrillNodeRequest, tell func(*cachedv1.NodeDrill) error) error {
	select { // one whose caller has just left is about to end
	case d.turn <- struct{}{}:
	case <-time.After(drillEnds):
		return fmt.Errorf("this node is in a drill already: end that one first: %w", block.ErrOverloaded)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-d.turn }()
	began, state := time.Now(), cachedv1.DrillState_DRILL_STATE_BEFORE
	say := func() error {
		n := drilled(d.node.ledger.Snapshot())
		n.State, n.Elapsed = state, durationpb.New(time.Since(began))
		return tell(n)
	}
	if before := req.GetBefore().AsDuration(); before > 0 {
		if err := d.during(ctx, before, say); err != nil {
			return err
		}
	}
	d.log.Warn("a drill begins: caches seem empty to all who ask", "asked_by", req.GetNode(), "for", req.GetEmpty().AsDuration())
	fronts := d.node.fronts()
	for _, c := range fronts {
		c.Fall()
	}
	state = cachedv1.DrillState_DRILL_STATE_EMPTY
	err := d.during(ctx, req.GetEmpty().AsDuration(), say)
	for _, c := range fronts {
		c.Rise()
	}
	d.log.Warn("the drill is over: caches are as they were", "after", time.Since(began).Round(time.Millisecond))
	if err != nil {
		return err
	}
	state = cachedv1.DrillState_DRILL_STATE_DONE
	return say()
}

// during says how the node is doing now and every second until the time is over.
func (d *driller) during(ctx context.Context, long time.Duration, say func() error) error {
	if err := say(); err != nil {
		return err
	}
	over := time.NewTimer(long)
	defer over.Stop()
	beats := time.NewTicker(beatEvery)
	defer beats.Stop()
	for {
		select {
		case <-over.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-d.ending.Done():
			return fmt.Errorf("the daemon ends: %w", block.ErrUnavailable)
		case <-beats.C:
			if err := say(); err != nil {
				return err
			}
		}
	}
}

// drilled is what the books say of this node.
func drilled(s account.Snapshot) *cachedv1.NodeDrill {
	programs := s.Requests.Served.Demand
	n := &cachedv1.NodeDrill{
		Served: countProto(programs.Total()), Errors: uint64(programs.Errors), OriginReads: countProto(s.Origin.Reads),
	}
	for _, m := range s.Tiers {
		if m.Tier == block.Origin.String() {
			n.OriginInFlight = uint64(max(m.InFlight, 0))
		}
	}
	return n
}

// fronts returns what stands before the node's caches.
func (n *node) fronts() []*tiers.Curtain {
	fronts := []*tiers.Curtain{n.memory}
	if n.disk != nil {
		fronts = append(fronts, n.disk)
	}
	return fronts
}
