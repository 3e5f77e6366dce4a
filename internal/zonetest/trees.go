package zonetest

import (
	"context"
	"fmt"

	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/tiers/peer"
)

// registrars is one node's way to those who keep the trees of images.
type registrars struct {
	zone *Zone
	node string
}

var _ peer.Registrar = registrars{}

// JoinTree implements [peer.Registrar].
func (r registrars) JoinTree(ctx context.Context, to placement.Member, image, lost string) (placement.Seat, error) {
	tier, err := r.reach(ctx, to.Name)
	if err != nil {
		return placement.Seat{}, err
	}
	seat, err := tier.JoinTree(image, r.node, lost)
	if err != nil {
		return placement.Seat{}, kind(err)
	}
	return seat, r.back(ctx, to.Name)
}

// LeaveTree implements [peer.Registrar].
func (r registrars) LeaveTree(ctx context.Context, to placement.Member, image string) error {
	tier, err := r.reach(ctx, to.Name)
	if err != nil {
		return err
	}
	tier.LeaveTree(image, r.node)
	return r.back(ctx, to.Name)
}

// reach takes a request to the registrar.
func (r registrars) reach(ctx context.Context, to string) (*peer.Tier, error) {
	if err := r.travel(ctx, r.node, to); err != nil {
		return nil, err
	}
	tier := r.zone.named(to).Tier()
	if tier == nil || !r.zone.named(r.node).Running() {
		return nil, fmt.Errorf("zonetest: %s asks %s for a seat: %w", r.node, to, errRefused)
	}
	return tier, nil
}

// back takes the answer back.
func (r registrars) back(ctx context.Context, from string) error { return r.travel(ctx, from, r.node) }

func (r registrars) travel(ctx context.Context, from, to string) error {
	n := r.zone.net
	n.mu.Lock()
	a, b := n.hostLocked(from), n.hostLocked(to)
	n.mu.Unlock()
	d, _ := n.delay(a, b)
	if err := n.pass(ctx, a, b); err != nil {
		return err
	}
	return pause(ctx, d)
}
