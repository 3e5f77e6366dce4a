package account

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A Zone is a node's part in L3, as the collector shows it: what the ring is now,
// and what passed between this node and the others since the start.
type Zone interface {
	// Ring returns the members of the ring, the part of all blocks that this node
	// owns (0 to 1), and the epoch of the ring.
	Ring() (members int, share float64, epoch uint64)
	// Breakers returns how many nodes are asked, how many are tried once more, and how
	// many are not asked at the moment because they did not answer.
	Breakers() (closed, halfOpen, open int)
	// Residency returns how many nodes say how much they hold, and of how many sets of
	// blocks in all.
	Residency() (nodes, entries int)
	// Totals returns a value for every series of [ZoneSeries].
	Totals() []Total
}

// A Total is one value of a series of [ZoneSeries].
type Total struct {
	Series ZoneSeries
	Label  string // the value of the series' label; "" where it has none
	Result string // the value of its second label, of PeerRequests and PeerBytes only
	Value  uint64 // of PeerSending nanoseconds
}

// A ZoneSeries is a counter of the zone.
type ZoneSeries int

// The series, and the values of their label.
const (
	PeerBlocks        ZoneSeries = iota // received, sent
	PeerBytes                           // received, sent; and whole or broken
	PeerRequests                        // sent, received; and a result
	PeerSending                         // none
	PeerFailures                        // failed, stalled, wrong
	PeerRedirects                       // given, taken
	PeerGone                            // given, taken
	PeerHedges                          // sent, won
	PeerOffers                          // given, taken
	PeerOrphans                         // none
	PeerRestarts                        // none
	PeerBudgetSpent                     // none
	PeerResumed                         // none
	PeerInherited                       // none
	PeerMisled                          // none
	PeerEpochs                          // none
	PeerOdd                             // empty, endless, older
	PeerTrees                           // asked, got, fell_back, complained, handed
	PeerCertificates                    // none
	PeerRefused                         // handshake, identity, zone, connection, overload
	GossipEvents                        // joined, left, died, foreign_zone, conflict, undecryptable, unreadable, notice_sent, notice_heard, seed_failure, key_reload, key_error
	ResidencyMessages                   // sent, heard, refused, dropped
	ResidencyBytes                      // none
	zoneSeriesCount
)

// resultLabel is the second label of those that have one.
const resultLabel = "result"

func (s ZoneSeries) hasResult() bool { return s == PeerRequests || s == PeerBytes }

var zoneSeries = [zoneSeriesCount]struct{ name, help, label string }{
	PeerBlocks:       {"peer_blocks_total", "Blocks that passed between this node and its peers.", "direction"},
	PeerBytes:        {"peer_bytes_total", "Bytes of blocks that passed between this node and its peers, by what came of the transfer: the rest of the block was there at its end (whole), or it broke off before (broken).", "direction"},
	PeerRequests:     {"peer_requests_total", "Asks for blocks among nodes, sent by this one and received from others, by what came of them.", "direction"},
	PeerSending:      {"peer_sending_seconds_total", "Time that the blocks sent to peers took, each from its place on the wire to its last byte: by the blocks sent it tells which node is slow.", ""},
	PeerFailures:     {"peer_failures_total", "Asks of peers that failed or stalled, and blocks whose bytes were wrong.", "kind"},
	PeerRedirects:    {"peer_redirects_total", "Asks for blocks sent on to another node: by this node, and as told by others.", "direction"},
	PeerGone:         {"peer_gone_total", "Asks for blocks that the asked node neither owns nor has.", "direction"},
	PeerHedges:       {"peer_hedges_total", "Second asks for a block whose owner was slow, and those that came first.", "kind"},
	PeerOffers:       {"peer_offers_total", "Offers of a replica of a hot block.", "direction"},
	PeerOrphans:      {"peer_orphans_total", "Reads whose source died under them.", ""},
	PeerRestarts:     {"peer_restarts_total", "Reads of peers begun anew because bytes were wrong.", ""},
	PeerBudgetSpent:  {"peer_budget_spent_total", "Reads left to the origin because peers took too long.", ""},
	PeerResumed:      {"peer_resumed_bytes_total", "Bytes of broken transfers that were not sent again.", ""},
	PeerInherited:    {"peer_inherited_total", "Blocks that the next holder had, so that the origin was not read.", ""},
	PeerMisled:       {"peer_misled_total", "Redirects to where a read cannot go or has been, and owners named that are none.", ""},
	PeerEpochs:       {"peer_epoch_mismatches_total", "Asks and answers of nodes whose ring is another one.", ""},
	PeerOdd:          {"peer_odd_answers_total", "Answers of peers that were empty, endless, or of an older version.", "kind"},
	PeerTrees:        {"peer_tree_blocks_total", "Blocks asked of a parent in a Function Tree, got from it, read from the ring instead, complaints about parents, and blocks handed to children.", "outcome"},
	PeerCertificates: {"peer_certificates_refused_total", "Certificates that other nodes showed and this one refused, as a server or a client.", ""},
	PeerRefused:      {"peer_refused_total", "Peers that got nothing, by reason.", "reason"},
	GossipEvents:     {"gossip_events_total", "What the gossip of the zone told this node, and what it refused.", "event"},

	ResidencyMessages: {"residency_messages_total", "News of what nodes hold: told by this node, heard, not readable, and lost because there were too many.", "event"},
	ResidencyBytes:    {"residency_bytes_total", "Bytes that this node sent to tell what nodes hold, its own news and others'.", ""},
}

// zoneDescs are the series of a node that is in a zone.
type zoneDescs struct {
	members, share, epoch, breakers *prometheus.Desc
	holders, holdings               *prometheus.Desc
	totals                          [zoneSeriesCount]*prometheus.Desc
}

func newZoneDescs() zoneDescs {
	d := zoneDescs{
		members:  prometheus.NewDesc("cached_ring_members", "Nodes in the ring as this node sees it.", nil, nil),
		share:    prometheus.NewDesc("cached_ring_owned_share", "Part of all blocks that this node owns, 0 to 1.", nil, nil),
		epoch:    prometheus.NewDesc("cached_ring_epoch", "The upper 52 bits of the ring's epoch: nodes that differ do not agree on who owns what.", nil, nil),
		breakers: prometheus.NewDesc("cached_peer_breakers", "Nodes this one has spoken with, by the state of their circuit breaker: asked (closed), tried once more (half_open), not asked because they did not answer (open).", []string{"state"}, nil),
		holders:  prometheus.NewDesc("cached_residency_nodes", "Nodes that say how much they hold of what starts need, as this node knows.", nil, nil),
		holdings: prometheus.NewDesc("cached_residency_entries", "Sets of blocks of which a node says so, summed over the nodes.", nil, nil),
	}
	for i, s := range zoneSeries {
		var labels []string
		if s.label != "" {
			labels = []string{s.label}
		}
		if ZoneSeries(i).hasResult() {
			labels = append(labels, resultLabel)
		}
		d.totals[i] = prometheus.NewDesc("cached_"+s.name, s.help, labels, nil)
	}
	return d
}

func (d zoneDescs) describe(out chan<- *prometheus.Desc) {
	for _, desc := range append([]*prometheus.Desc{d.members, d.share, d.epoch, d.breakers, d.holders, d.holdings}, d.totals[:]...) {
		out <- desc
	}
}

// epochBits is how much of an epoch a float64 holds exactly.
const epochBits = 52

func (d zoneDescs) collect(out sink, z Zone) {
	members, share, epoch := z.Ring()
	out.gauge(d.members, int64(members))
	out <- prometheus.MustNewConstMetric(d.share, prometheus.GaugeValue, share)
	out.gauge(d.epoch, int64(epoch>>(64-epochBits)))
	closed, halfOpen, open := z.Breakers()
	out.gauge(d.breakers, int64(closed), "closed")
	out.gauge(d.breakers, int64(halfOpen), "half_open")
	out.gauge(d.breakers, int64(open), "open")
	holders, holdings := z.Residency()
	out.gauge(d.holders, int64(holders))
	out.gauge(d.holdings, int64(holdings))
	for _, t := range z.Totals() {
		if t.Series < 0 || t.Series >= zoneSeriesCount || (t.Label == "") != (zoneSeries[t.Series].label == "") || (t.Result != "") != t.Series.hasResult() {
			panic(fmt.Sprintf("account: zone series %d with label %q", t.Series, t.Label))
		}
		var labels []string
		for _, value := range []string{t.Label, t.Result} {
			if value != "" {
				labels = append(labels, value)
			}
		}
		if t.Series == PeerSending {
			out <- prometheus.MustNewConstMetric(d.totals[t.Series], prometheus.CounterValue, time.Duration(t.Value).Seconds())
			continue
		}
		out.counter(d.totals[t.Series], int64(t.Value), labels...)
	}
}

// wrongOf returns how many blocks from peers were not what their id says.
func wrongOf(z Zone) int64 {
	for _, t := range z.Totals() {
		if t.Series == PeerFailures && t.Label == "wrong" {
			return int64(t.Value)
		}
	}
	return 0
}
