package peer

import (
	"context"
	"fmt"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// heirPatience is how long another holder may be silent, and heirShare its part
// of the budget, before the origin is read. A holder that lets this node wait says
// so each queuedEvery, and its word needs some time to come.
const (
	heirPatience = queuedEvery * 8 / 5
	heirShare    = 8
)

// maxLeftBehind is how many asks to one node may go on that nobody waits for.
const maxLeftBehind = 16

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
	if heir.Name == "" || t.closing() || t.vain.Has(id, time.Now()) {
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
		reply, err := t.fetchSoon(ctx, heir, placement.Ask{Kind: placement.Held, Hops: hops}, into)
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

// fetchSoon is fetch that does not wait once nothing is heard for heirPatience.
// The ask goes on by itself until there is an answer, for the budget at most: to
// cancel it would cost the connection, and a handshake for the next one, which is
// what a busy node lacks the time for. Bytes are not waited for then.
func (t *Tier) fetchSoon(ctx context.Context, to placement.Member, ask placement.Ask, into *block.Arrival) (placement.Reply, error) {
	own, end := context.WithTimeoutCause(context.WithoutCancel(ctx), t.opts.Budget, errImpatient)
	own, cancel := context.WithCancelCause(own)
	stop := context.AfterFunc(ctx, func() { cancel(ctx.Err()) })
	var reply placement.Reply
	var err error
	done := make(chan struct{})
	into.Join()
	run := func() {
		defer into.Leave()
		defer close(done)
		defer end()
		defer cancel(nil)
		reply, err = t.fetch(own, to, ask, into)
	}
	if !t.begin(run) {
		into.Leave()
		cancel(nil)
		end()
		return placement.Reply{}, errClosed
	}
	patience := time.NewTicker(heirPatience)
	defer patience.Stop()
	for last := signOf(into); ; {
		select {
		case <-done:
			return reply, err
		case <-patience.C:
		}
		now := signOf(into)
		if now != last {
			last = now
			continue
		}
		if !stop() { // ctx has ended, and so will the ask
			<-done
			return reply, err
		}
		if !t.leaveBehind(own, cancel, t.peers.get(to.Name), into, done) {
			cancel(errImpatient)
		}
		return placement.Reply{}, errImpatient
	}
}

// leaveBehind lets an ask of the node go on by itself, and reports whether it may.
func (t *Tier) leaveBehind(ctx context.Context, cancel context.CancelCauseFunc, n *neighbour, into *block.Arrival, done <-chan struct{}) bool {
	if n.left.Add(1) > maxLeftBehind {
		n.left.Add(-1)
		return false
	}
	into.Join()
	leave := func() {
		defer n.left.Add(-1)
		defer into.Leave()
		t.untilBytes(ctx, into, done)
		cancel(errImpatient)
	}
	if !t.begin(leave) {
		into.Leave()
		n.left.Add(-1)
		return false
	}
	return true
}

// untilBytes waits until the ask is done, or begins to bring bytes.
func (t *Tier) untilBytes(ctx context.Context, into *block.Arrival, done <-chan struct{}) {
	for {
		changed := into.Changed()
		if into.Size() >= 0 {
			return
		}
		select {
		case <-done:
			return
		case <-ctx.Done():
			return
		case <-t.ending.Done():
			return
		case <-changed:
		}
	}
}
