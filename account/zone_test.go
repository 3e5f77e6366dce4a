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
func (smallZone) Suspects() int                   { return 1 }
func (smallZone) Residency() (nodes, entries int) { return 2, 17 }
func (smallZone) Totals() []Total {
	return []Total{
		{PeerBlocks, "received", 7},
		{PeerFailures, "wrong", 2},
		{PeerOrphans, "", 4},
		{GossipEvents, "foreign_zone", 5},
		{ResidencyMessages, "refused", 6},
		{ResidencyBytes, "", 8},
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
# HELP cached_peers_suspect Nodes that are not asked at the moment, because they did not answer.
# TYPE cached_peers_suspect gauge
cached_peers_suspect 1
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
		"cached_peer_blocks_total", "cached_peer_orphans_total", "cached_peers_suspect", "cached_ring_epoch", "cached_ring_members",
		"cached_ring_owned_share", "cached_residency_bytes_total", "cached_residency_entries", "cached_residency_messages_total", "cached_residency_nodes"); err != nil {
		t.Error(err)
	}
}
