package main

import (
	"context"
	"fmt"
	"time"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// peerBlocks answers the api's asks from the peer tier.
type peerBlocks struct{ zone *zone }

var _ api.PeerBlocks = peerBlocks{}

// AnswerPeer implements [api.PeerBlocks].
func (p peerBlocks) AnswerPeer(ctx context.Context, id block.ID, ask placement.Ask, queued func() error) (api.PeerAnswer, error) {
	if err := p.zone.untilMet(ctx, queued); err != nil {
		return api.PeerAnswer{}, err
	}
	a, err := p.zone.tier.Answer(ctx, id, ask, queued)
	return api.PeerAnswer(a), err
}

// queuedEvery is how often an asker hears that it must wait.
const queuedEvery = 100 * time.Millisecond

// untilMet lets an ask wait until this node has met the zone. Others have it in
// their rings a moment before it has them in its own, and would have it read the
// origin for what they hold.
func (z *zone) untilMet(ctx context.Context, queued func() error) error {
	select {
	case <-z.met:
	default:
		ticker := time.NewTicker(queuedEvery)
		defer ticker.Stop()
		for waiting := true; waiting; {
			if err := queued(); err != nil {
				return err
			}
			select {
			case <-z.met:
				waiting = false
			case <-ticker.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	if z.members.Load() == nil {
		return fmt.Errorf("node %s could not join zone %s: %w", z.cfg.Node, z.cfg.Name, block.ErrUnavailable)
	}
	return nil
}
