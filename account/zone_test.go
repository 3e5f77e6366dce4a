package account

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/zonecache/cached/block"
)

type smallZone struct{}

func (smallZone) Ring() (members int, share float64, epoch uint64) {
	return 3, 0.34, 0xfedcba9876543210
}
func (smallZone) Breakers() (closed, halfOpen, open int) { return 5, 1, 2 }
func (smallZone) Residency() (nodes, entries int)        { return 2, 17 }
func (smallZone) Totals() []Total {
	return []Total{
		{Series: PeerBlocks, Label: "received", Value: 7},
		{Series: PeerRequests, Label: "sent", Result: "redirected", Value: 9},
		{Series: PeerFailures, Label: "wrong", Value: 2},
		{Series: PeerOrphans, Value: 4},
		{Series: GossipEvents, Label: "foreign_zone", Value: 5},
		{Series: ResidencyMessages, Label: "refused", Value: 6},
		{Series: ResidencyBytes, Value: 8},
	}
}

func TestSeriesShowTheZone(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(New(Options{}).Collector(Gauges{Tiers: map[block.Tier]Size{}, Zone: smallZone{}}))
	want := `
# HELP cached_gossip_events_total What the gossip of the zone told this node, and what it refused.
# TYPE cached_gossip_events_total counter
cached_gossip_events_total{event="foreign_zone"} 5
# HELP cached_integrity_failures_total Blocks that were not what their id says, by where they came from.
# TYPE cached_integrity_failures_total counter
cached_integrity_failures_total{source="l2"} 0
cached_integrity_failures_total{source="l3"} 2
cached_integrity_failures_total{source="l4"} 0
# HELP cached_peer_blocks_total Blocks that passed between this node and its peers.
# TYPE cached_peer_blocks_total counter
cached_peer_blocks_total{direction="received"} 7
# HELP cached_peer_orphans_total Reads whose source died under them.
# TYPE cached_peer_orphans_total counter
cached_peer_orphans_total 4
# HELP cached_peer_breakers Nodes this one has spoken with, by the state of their circuit breaker: asked (closed), tried once more (half_open), not asked because they did not answer (open).
# TYPE cached_peer_breakers gauge
cached_peer_breakers{state="closed"} 5
cached_peer_breakers{state="half_open"} 1
cached_peer_breakers{state="open"} 2
# HELP cached_peer_requests_total Asks for blocks among nodes, sent by this one and received from others, by what came of them.
# TYPE cached_peer_requests_total counter
cached_peer_requests_total{direction="sent",result="redirected"} 9
# HELP cached_ring_epoch The upper 52 bits of the ring's epoch: nodes that differ do not agree on who owns what.
# TYPE cached_ring_epoch gauge
cached_ring_epoch 4.483583629026627e+15
# HELP cached_ring_members Nodes in the ring as this node sees it.
# TYPE cached_ring_members gauge
cached_ring_members 3
# HELP cached_ring_owned_share Part of all blocks that this node owns, 0 to 1.
# TYPE cached_ring_owned_share gauge
cached_ring_owned_share 0.34
# HELP cached_residency_bytes_total Bytes that this node sent to tell what nodes hold, its own news and others'.
# TYPE cached_residency_bytes_total counter
cached_residency_bytes_total 8
# HELP cached_residency_entries Sets of blocks of which a node says so, summed over the nodes.
# TYPE cached_residency_entries gauge
cached_residency_entries 17
# HELP cached_residency_messages_total News of what nodes hold: told by this node, heard, not readable, and lost because there were too many.
# TYPE cached_residency_messages_total counter
cached_residency_messages_total{event="refused"} 6
# HELP cached_residency_nodes Nodes that say how much they hold of what starts need, as this node knows.
# TYPE cached_residency_nodes gauge
cached_residency_nodes 2
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "cached_gossip_events_total", "cached_integrity_failures_total",
		"cached_peer_blocks_total", "cached_peer_orphans_total", "cached_peer_breakers", "cached_peer_requests_total", "cached_ring_epoch", "cached_ring_members",
		"cached_ring_owned_share", "cached_residency_bytes_total", "cached_residency_entries", "cached_residency_messages_total", "cached_residency_nodes"); err != nil {
		t.Error(err)
	}
}
