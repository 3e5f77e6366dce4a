package zonetest

import (
	"fmt"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/tiers/peer"
)

// A joined is a peer.Tier as the chain needs it.
type joined struct {
	*peer.Tier
	*peer.Admission
	node string
	zone *Zone
}

func joinPeer(z *Zone, o peer.Options) l3 {
	if z.opts.Peer != nil {
		z.opts.Peer(o.Node, &o)
	}
	if o.Distribution == peer.ByTree && o.Registrar == nil {
		o.Registrar = registrars{z, o.Node}
	}
	t, err := peer.New(o)
	if err != nil {
		panic(fmt.Sprintf("zonetest: %v", err))
	}
	return joined{t, t.Admission(z.opts.Admit), o.Node, z}
}

// Owns implements l3.
func (j joined) Owns(id block.ID) bool {
	owner, ok := j.zone.members.ring(j.node).Owner(id)
	return !ok || owner.Name == j.node
}

// Tier returns the peer tier of the node's process, nil when none runs.
func (n *Node) Tier() *peer.Tier {
	p := n.current()
	if p == nil {
		return nil
	}
	j, _ := p.l3.(joined)
	return j.Tier
}

// Blamed returns how many blocks with wrong bytes the nodes that run hold
// against each other, by the name of who is blamed.
func (z *Zone) Blamed() map[string]int {
	blamed := map[string]int{}
	for _, n := range z.Nodes() {
		for _, h := range n.Tier().Health() {
			if h.Wrong > 0 {
				blamed[h.Node] += int(h.Wrong)
			}
		}
	}
	return blamed
}

// Stats sums up what the peer tiers of the nodes that run have done.
func (z *Zone) Stats() peer.Stats {
	var sum peer.Stats
	for _, n := range z.Nodes() {
		s := n.Tier().Stats()
		sum.Received += s.Received
		sum.ReceivedBytes += s.ReceivedBytes
		sum.Sent += s.Sent
		sum.SentBytes += s.SentBytes
		sum.Failures += s.Failures
		sum.Wrong += s.Wrong
		sum.Stalled += s.Stalled
		sum.RedirectsGiven += s.RedirectsGiven
		sum.RedirectsTaken += s.RedirectsTaken
		sum.GoneGiven += s.GoneGiven
		sum.GoneTaken += s.GoneTaken
		sum.Hedges += s.Hedges
		sum.HedgesWon += s.HedgesWon
		sum.Orphans += s.Orphans
		sum.Restarts += s.Restarts
		sum.BudgetSpent += s.BudgetSpent
		sum.ResumedBytes += s.ResumedBytes
		sum.Inherited += s.Inherited
		sum.OffersGiven += s.OffersGiven
		sum.OffersTaken += s.OffersTaken
	}
	return sum
}
