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
func (smallZone) Suspects() int { return 1 }
func (smallZone) Totals() []Total {
	return []Total{
		{PeerBlocks, "received", 7}, {PeerFailures, "wrong", 2}, {PeerOrphans, "", 4}, {GossipEvents, "foreign_zone", 5},
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
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "cached_gossip_events_total", "cached_integrity_failures_total",
		"cached_peer_blocks_total", "cached_peer_orphans_total", "cached_peers_suspect", "cached_ring_epoch", "cached_ring_members",
		"cached_ring_owned_share"); err != nil {
		t.Error(err)
	}
}
