package peer

import (
	"context"
	"fmt"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// heirPatience is how long another holder may be silent, and heirShare its part
// of the budget, before the origin is read.
const (
	heirPatience = 100 * time.Millisecond
	heirShare    = 8
)

// heirHops is how often an owner lets itself be redirected.
const heirHops = 2

// Heirs returns a Reader that asks the next holder of a block for what it has: it
// owned the block until this node joined, or holds a replica. It stands before
// the origin in the chain through which this node reads what it owns. A node that
// stands in for the owner asks the owner itself, which may live after all.
//
// ErrNotFound, after one round trip, when the block is not to be had this way.
func (t *Tier) Heirs() block.Reader { return block.ReaderFunc(t.readHeir) }

func (t *Tier) readHeir(ctx context.Context, id block.ID) (block.Block, error) {
	ring := t.opts.Ring()
	var heir placement.Member
	for _, m := range ring.Holders(id, 2) {
		if m.Name != t.opts.Node {
			heir = m
			break
		}
	}
	if heir.Name == "" || t.closing() || t.vain.has(id, time.Now()) {
		return block.Block{}, errNoHeir
	}
	ctx, cancel := context.WithTimeout(ctx, t.budget(ctx)/heirShare)
	defer cancel()
	into := block.NewArrival(id, t.opts.Pool)
	defer into.Leave()
	for hops := range uint8(heirHops + 1) {
		if !t.mayAsk(heir.Name) {
			return block.Block{}, errNoHeir
		}
		reply, err := t.fetchWithin(ctx, heirPatience, heir, placement.Ask{Kind: placement.Held, Hops: hops}, into)
		switch {
		case err != nil && ctx.Err() != nil:
			return block.Block{}, ctx.Err()
		case err != nil:
			return block.Block{}, fmt.Errorf("peer: heir %s: %w (%s)", heir.Name, block.ErrNotFound, err.Error()) // whatever kind err is of
		case reply.Verdict == placement.Serve:
			return t.inherit(into, heir.Name)
		case reply.Verdict != placement.Redirect:
			return block.Block{}, errNoHeir
		}
		next, ok := ring.Member(reply.To)
		if !ok || next.Name == t.opts.Node || next.Name == heir.Name {
			return block.Block{}, errNoHeir
		}
		heir = next
	}
	return block.Block{}, errNoHeir
}

var errNoHeir = fmt.Errorf("peer: no other holder has the block: %w", block.ErrNotFound)

func (t *Tier) inherit(into *block.Arrival, heir string) (block.Block, error) {
	n := t.peers.get(heir)
	b, err := into.Finish(block.Peer)
	if err != nil {
		n.counts.wrong.Add(1)
		t.distrust(n, grave, "wrong bytes", err)
		return block.Block{}, fmt.Errorf("peer: heir %s: %w", heir, err)
	}
	n.verified()
	t.stats.inherited.Add(1)
	return b, nil
}
