package main

import (
	"github.com/zonecache/cached/account"
	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/placement/gossip"
	"github.com/zonecache/cached/tiers/peer"
)

// zoneMetrics shows a zone to the collector.
type zoneMetrics struct{ zone *zone }

var _ account.Zone = zoneMetrics{}

// Ring implements [account.Zone].
func (m zoneMetrics) Ring() (members int, share float64, epoch uint64) {
	ring := m.zone.ring.Load()
	return ring.Len(), ring.Share(m.zone.cfg.Node), ring.Epoch()
}

// Breakers implements [account.Zone].
func (m zoneMetrics) Breakers() (closed, halfOpen, open int) {
	var n [peer.Open + 1]int
	for _, h := range m.zone.tier.Health() {
		n[h.State]++
	}
	return n[peer.Closed], n[peer.HalfOpen], n[peer.Open]
}

// Residency implements [account.Zone].
func (m zoneMetrics) Residency() (nodes, entries int) { return m.zone.residency.Size() }

// Totals implements [account.Zone].
func (m zoneMetrics) Totals() []account.Total {
	var g gossip.Stats
	if members := m.zone.members.Load(); members != nil {
		g = members.Stats()
	}
	return m.totals(m.zone.tier.Stats(), m.zone.tier.TreeStats(), g)
}

func (m zoneMetrics) totals(s peer.Stats, tree peer.TreeStats, g gossip.Stats) []account.Total {
	totals := []account.Total{
		{Series: account.PeerBlocks, Label: "received", Value: s.Received},
		{Series: account.PeerBlocks, Label: "sent", Value: s.Sent},
		{Series: account.PeerBytes, Label: "received", Result: "whole", Value: s.ReceivedBytes - s.ReceivedBroken},
		{Series: account.PeerBytes, Label: "received", Result: "broken", Value: s.ReceivedBroken},
		{Series: account.PeerBytes, Label: "sent", Result: "whole", Value: s.SentBytes - s.SentBroken},
		{Series: account.PeerBytes, Label: "sent", Result: "broken", Value: s.SentBroken},
		{Series: account.PeerSending, Value: uint64(s.Sending)},
		{Series: account.PeerFailures, Label: "failed", Value: s.Failures},
		{Series: account.PeerFailures, Label: "stalled", Value: s.Stalled},
		{Series: account.PeerFailures, Label: "wrong", Value: s.Wrong},
		{Series: account.PeerRedirects, Label: "given", Value: s.RedirectsGiven},
		{Series: account.PeerRedirects, Label: "taken", Value: s.RedirectsTaken},
		{Series: account.PeerGone, Label: "given", Value: s.GoneGiven},
		{Series: account.PeerGone, Label: "taken", Value: s.GoneTaken},
		{Series: account.PeerHedges, Label: "sent", Value: s.Hedges},
		{Series: account.PeerHedges, Label: "won", Value: s.HedgesWon},
		{Series: account.PeerOffers, Label: "given", Value: s.OffersGiven},
		{Series: account.PeerOffers, Label: "taken", Value: s.OffersTaken},
		{Series: account.PeerOrphans, Value: s.Orphans},
		{Series: account.PeerRestarts, Value: s.Restarts},
		{Series: account.PeerBudgetSpent, Value: s.BudgetSpent},
		{Series: account.PeerResumed, Value: s.ResumedBytes},
		{Series: account.PeerInherited, Value: s.Inherited},
		{Series: account.PeerMisled, Value: s.Misled},
		{Series: account.PeerEpochs, Value: s.EpochMismatches},
		{Series: account.PeerTrees, Label: "asked", Value: tree.Climbs},
		{Series: account.PeerTrees, Label: "got", Value: tree.Climbed},
		{Series: account.PeerTrees, Label: "fell_back", Value: tree.Fallbacks},
		{Series: account.PeerTrees, Label: "complained", Value: tree.Complaints},
		{Series: account.PeerTrees, Label: "handed", Value: tree.Handed},
		{Series: account.PeerCertificates, Value: m.zone.certificates.Load()},
		{Series: account.GossipEvents, Label: "joined", Value: g.Joins},
		{Series: account.GossipEvents, Label: "left", Value: g.Leaves},
		{Series: account.GossipEvents, Label: "died", Value: g.Deaths},
		{Series: account.GossipEvents, Label: "foreign_zone", Value: g.ForeignZone},
		{Series: account.GossipEvents, Label: "conflict", Value: g.Conflicts},
		{Series: account.GossipEvents, Label: "undecryptable", Value: g.Undecryptable},
		{Series: account.GossipEvents, Label: "unreadable", Value: g.Unreadable},
		{Series: account.GossipEvents, Label: "notice_sent", Value: g.NoticesSent},
		{Series: account.GossipEvents, Label: "notice_heard", Value: g.NoticesHeard},
		{Series: account.GossipEvents, Label: "seed_failure", Value: g.SeedFailures},
		{Series: account.GossipEvents, Label: "key_reload", Value: g.KeyReloads},
		{Series: account.GossipEvents, Label: "key_error", Value: g.KeyErrors},
		{Series: account.ResidencyMessages, Label: "sent", Value: g.SketchesSent},
		{Series: account.ResidencyMessages, Label: "heard", Value: g.SketchesHeard},
		{Series: account.ResidencyMessages, Label: "refused", Value: g.SketchesRefused},
		{Series: account.ResidencyMessages, Label: "dropped", Value: g.SketchesDropped},
		{Series: account.ResidencyBytes, Value: g.SketchBytes},
	}
	for i, result := range peer.Results {
		totals = append(totals,
			account.Total{Series: account.PeerRequests, Label: "sent", Result: result.String(), Value: s.Asked[i]},
			account.Total{Series: account.PeerRequests, Label: "received", Result: result.String(), Value: s.Answered[i]})
	}
	for i, why := range api.Refusals {
		totals = append(totals, account.Total{Series: account.PeerRefused, Label: string(why), Value: m.zone.refused[i].Load()})
	}
	for i, what := range api.Oddities {
		totals = append(totals, account.Total{Series: account.PeerOdd, Label: string(what), Value: m.zone.odd[i].Load()})
	}
	return totals
}
