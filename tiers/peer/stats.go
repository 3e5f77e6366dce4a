package peer

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"
)

// stats are what the tier did as a whole.
type stats struct {
	misled, epochMismatches   atomic.Uint64
	hedges, hedgesWon         atomic.Uint64
	orphans, restarts         atomic.Uint64
	budgetSpent, resumedBytes atomic.Uint64
	inherited                 atomic.Uint64
	offersGiven, offersTaken  atomic.Uint64
	sending                   atomic.Int64 // nanoseconds of sends that came to their end

	asked, answered asks
}

// counts are what passed between this node and one other.
type counts struct {
	received, sent           atomic.Uint64
	receivedBytes, sentBytes transferred
	failures, wrong, stalled atomic.Uint64
}

// transferred are bytes of transfers that came to their end, and of those that broke off.
type transferred struct{ whole, broken atomic.Uint64 }

func (x *transferred) take(o *transferred) {
	x.whole.Add(o.whole.Load())
	x.broken.Add(o.broken.Load())
}

// Stats are counts since the tier was made.
type Stats struct {
	Received, ReceivedBytes  uint64 // whole blocks; bytes, those of broken transfers included
	Sent, SentBytes          uint64
	Sending                  time.Duration // that the blocks sent took, in sum: from their place on the wire to the last byte
	ReceivedBroken           uint64        // of the bytes, those of transfers that broke off
	SentBroken               uint64
	Failures, Wrong, Stalled uint64 // asks that failed, stalled ones included; blocks with wrong bytes

	RedirectsGiven, RedirectsTaken uint64
	Misled                         uint64 // redirects to where this read cannot go, or has been; owners named that are none
	EpochMismatches                uint64 // asks and answers of nodes whose ring is another one
	GoneGiven, GoneTaken           uint64
	Hedges, HedgesWon              uint64
	Orphans                        uint64 // sources that died under a read
	Restarts                       uint64 // reads that began anew because bytes were wrong
	BudgetSpent                    uint64 // reads left to the origin for want of time
	ResumedBytes                   uint64 // that a broken transfer had brought and nobody sent again
	Inherited                      uint64 // blocks the next holder had, and the origin was not read for
	OffersGiven, OffersTaken       uint64 // of replicas of hot blocks

	Asked, Answered [len(Results)]uint64 // asks of this node and of others, by [Result]
}

// Stats returns the counts of the tier.
func (t *Tier) Stats() Stats {
	s := &t.stats
	asked, answered := s.asked.counts(), s.answered.counts()
	sum := Stats{
		RedirectsGiven: answered[Redirected], RedirectsTaken: asked[Redirected], Misled: s.misled.Load(), EpochMismatches: s.epochMismatches.Load(),
		GoneGiven: answered[Gone], GoneTaken: asked[Gone],
		Hedges: s.hedges.Load(), HedgesWon: s.hedgesWon.Load(),
		Orphans: s.orphans.Load(), Restarts: s.restarts.Load(),
		BudgetSpent: s.budgetSpent.Load(), ResumedBytes: s.resumedBytes.Load(),
		Inherited: s.inherited.Load(), Sending: time.Duration(s.sending.Load()),
		OffersGiven: s.offersGiven.Load(), OffersTaken: s.offersTaken.Load(),
		Asked: asked, Answered: answered,
	}
	t.peers.mu.RLock()
	defer t.peers.mu.RUnlock()
	sum.add(&t.peers.gone)
	for _, n := range t.peers.known {
		sum.add(&n.counts)
	}
	return sum
}

func (s *Stats) add(c *counts) {
	s.Received += c.received.Load()
	s.Sent += c.sent.Load()
	received, sent := c.receivedBytes.broken.Load(), c.sentBytes.broken.Load()
	s.ReceivedBytes += c.receivedBytes.whole.Load() + received
	s.ReceivedBroken += received
	s.SentBytes += c.sentBytes.whole.Load() + sent
	s.SentBroken += sent
	s.Failures += c.failures.Load()
	s.Wrong += c.wrong.Load()
	s.Stalled += c.stalled.Load()
}

// add takes over the counts of a node that is forgotten.
func (c *counts) add(o *counts) {
	c.received.Add(o.received.Load())
	c.sent.Add(o.sent.Load())
	c.receivedBytes.take(&o.receivedBytes)
	c.sentBytes.take(&o.sentBytes)
	c.failures.Add(o.failures.Load())
	c.wrong.Add(o.wrong.Load())
	c.stalled.Add(o.stalled.Load())
}

// A PeerHealth is what this node knows of another one by its own experience.
type PeerHealth struct { //nolint:revive // the health of a peer, not of this package
	Node     string
	State    State
	Row      int    // failures in a row
	Reason   string // of the last failure, while the state is not Closed
	LastUsed time.Time

	Received, ReceivedBytes  uint64
	Sent, SentBytes          uint64
	Failures, Wrong, Stalled uint64
}

// Health returns the nodes this one has spoken with, in the order of their names.
func (t *Tier) Health() []PeerHealth {
	now := time.Now()
	all := t.peers.all(t.opts.Ring(), now)
	health := make([]PeerHealth, 0, len(all))
	for _, n := range all {
		h := PeerHealth{Node: n.name, LastUsed: time.Unix(0, n.used.Load())}
		h.State, h.Row, h.Reason = n.breaker.state(now)
		var s Stats
		s.add(&n.counts)
		h.Received, h.ReceivedBytes, h.Sent, h.SentBytes = s.Received, s.ReceivedBytes, s.Sent, s.SentBytes
		h.Failures, h.Wrong, h.Stalled = s.Failures, s.Wrong, s.Stalled
		health = append(health, h)
	}
	slices.SortFunc(health, func(a, b PeerHealth) int { return cmp.Compare(a.Node, b.Node) })
	return health
}
