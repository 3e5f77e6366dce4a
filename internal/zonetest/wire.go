package zonetest

import (
	"context"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/tiers"
	"github.com/zonecache/cached/tiers/peer"
)

// An l3 is what joins a node with the others; peer.Tier is one.
type l3 interface {
	block.Reader
	Answer(ctx context.Context, id block.ID, ask placement.Ask, queued func() error) (peer.Answer, error)
	SetLocal(local block.Reader)
	SetPull(chain block.Reader)
	Heirs() block.Reader
	Origin(next block.Reader) block.Reader
	Owns(id block.ID) bool
	Admit(b block.Block) bool
	Suspect(node, reason string)
	Returned(node string)
	Close() error
}

// wire joins a process's tiers: the expression of cmd/cached/wire.go, which cannot
// be imported, with the made up origin, disk and network in it. Keep them alike.
func (p *process) wire(n *Node) {
	z := p.zone
	// Who asks before the tiers are joined, waits.
	joined := make(chan struct{})
	defer close(joined)
	tr := z.net.Listen(n.Name, func(ctx context.Context, id block.ID, ask placement.Ask, queued func() error) (peer.Answer, error) {
		<-joined
		return p.l3.Answer(ctx, id, ask, queued)
	})
	p.host = z.net.host(n.Name)

	l1 := p.ledger.Reader(block.Memory, p.l1)
	held := l1 // what peers may have of a block this node does not own
	if n.disk != nil {
		held = tiers.Fallback(l1, tiers.ReadThrough(p.l1, p.ledger.Reader(block.Disk, n.disk), tiers.Always))
	}
	p.l3 = z.opts.join(z, peer.Options{
		Node: n.Name, Transport: tr, Held: held,
		Ring:    func() *placement.Ring { return z.members.ring(n.Name) },
		Suspect: func(other, reason string) { z.members.suspect(n.Name, other, reason) },
		Logger:  z.opts.Logger.With("node", n.Name),
	})

	l4 := tiers.Flight(p.ledger.Reader(block.Origin, tiers.Limit(block.ReaderFunc(
		func(ctx context.Context, id block.ID) (block.Block, error) { return z.origin.read(ctx, p, id) },
	), z.opts.OriginReads)))
	caches := func(next block.Reader, admit tiers.Admit) block.Reader {
		if n.disk != nil {
			next = tiers.ReadThrough(p.ledger.Store(block.Disk, n.disk), next, admit)
		}
		return tiers.Fallback(l1, tiers.Flight(tiers.ReadThrough(p.l1, next, tiers.Always)))
	}
	local := caches(tiers.Fallback(p.ledger.Reader(block.Peer, p.l3.Heirs()), p.l3.Origin(l4)), tiers.Always)
	remote := caches(tiers.Fallback(p.ledger.Reader(block.Peer, p.l3), local), p.l3.Admit)
	zone := tiers.Choose(p.l3.Owns, local, remote)
	p.l3.SetLocal(local)
	p.l3.SetPull(zone)
	p.reader = p.ledger.Requests(zone)
}
