package main

import (
	"maps"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/zonecache/cached/account"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement/gossip"
	"github.com/zonecache/cached/tiers/peer"
)

// countedZone is a zone of counts alone.
type countedZone []account.Total

func (countedZone) Ring() (members int, share float64, epoch uint64) { return 0, 0, 0 }
func (countedZone) Breakers() (closed, halfOpen, open int)           { return 0, 0, 0 }
func (countedZone) Residency() (nodes, entries int)                  { return 0, 0 }
func (z countedZone) Totals() []account.Total                        { return z }

// notShown are counts that have no series.
var notShown = []string{"Rings", "NoticesKept", "LogsDropped"}

// allDiffer fails the test unless every count is there and no two are the same: a label
// that is another's would not be seen.
func allDiffer(t *testing.T, seen map[uint64]string, stats any) {
	t.Helper()
	v := reflect.ValueOf(stats)
	for i := range v.NumField() {
		name := v.Type().String() + "." + v.Type().Field(i).Name
		if slices.Contains(notShown, v.Type().Field(i).Name) {
			continue
		}
		counts := []reflect.Value{v.Field(i)}
		if v.Field(i).Kind() == reflect.Array {
			counts = nil
			for j := range v.Field(i).Len() {
				counts = append(counts, v.Field(i).Index(j))
			}
		}
		for _, c := range counts {
			n := c.Convert(reflect.TypeFor[uint64]()).Uint()
			if was, twice := seen[n]; twice || n == 0 {
				t.Errorf("%s is %d, as %s", name, n, was)
			}
			seen[n] = name
		}
	}
}

// Every count of peers, trees and gossip is under its own name and label.
func TestEveryCountOfTheZoneHasItsSeries(t *testing.T) {
	s := peer.Stats{
		Received: 1, ReceivedBytes: 225, ReceivedBroken: 25, Sent: 3, SentBytes: 304, SentBroken: 4, Failures: 5, Wrong: 6, Stalled: 7, RedirectsGiven: 8, RedirectsTaken: 9, Misled: 10,
		EpochMismatches: 11, GoneGiven: 12, GoneTaken: 13, Hedges: 14, HedgesWon: 15, Orphans: 16, Restarts: 17, BudgetSpent: 18, ResumedBytes: 19,
		Inherited: 20, OffersGiven: 21, OffersTaken: 22, Sending: 23 * time.Second,
		Asked:    [...]uint64{31, 32, 33, 34, 35, 36, 37},
		Answered: [...]uint64{41, 42, 43, 44, 45, 46, 47},
	}
	tree := peer.TreeStats{Climbs: 51, Climbed: 52, Fallbacks: 53, Complaints: 54, Handed: 55}
	g := gossip.Stats{
		Joins: 61, Leaves: 62, Deaths: 63, ForeignZone: 64, Conflicts: 65, Undecryptable: 66, Unreadable: 67, NoticesSent: 68, NoticesHeard: 69, SeedFailures: 70,
		KeyReloads: 71, KeyErrors: 72, SketchesSent: 73, SketchesHeard: 74, SketchesRefused: 75, SketchesDropped: 76, SketchBytes: 77,
	}
	seen := map[uint64]string{}
	for _, stats := range []any{s, tree, g} {
		allDiffer(t, seen, stats)
	}
	z := &zone{}
	z.certificates.Store(81)
	for i := range z.refused {
		z.refused[i].Store(uint64(91 + i))
	}
	for i := range z.odd {
		z.odd[i].Store(uint64(101 + i))
	}
	want := map[string]float64{
		"peer_blocks_total{direction=received}": 1, "peer_bytes_total{direction=received,result=whole}": 200, "peer_bytes_total{direction=received,result=broken}": 25,
		"peer_blocks_total{direction=sent}": 3, "peer_bytes_total{direction=sent,result=whole}": 300, "peer_bytes_total{direction=sent,result=broken}": 4,
		"peer_failures_total{kind=failed}": 5, "peer_failures_total{kind=wrong}": 6, "peer_failures_total{kind=stalled}": 7,
		"integrity_failures_total{source=l3}":   6,
		"peer_redirects_total{direction=given}": 8, "peer_redirects_total{direction=taken}": 9,
		"peer_misled_total{}": 10, "peer_epoch_mismatches_total{}": 11,
		"peer_gone_total{direction=given}": 12, "peer_gone_total{direction=taken}": 13,
		"peer_hedges_total{kind=sent}": 14, "peer_hedges_total{kind=won}": 15,
		"peer_orphans_total{}": 16, "peer_restarts_total{}": 17, "peer_budget_spent_total{}": 18, "peer_resumed_bytes_total{}": 19, "peer_inherited_total{}": 20,
		"peer_sending_seconds_total{}":       23,
		"peer_offers_total{direction=given}": 21, "peer_offers_total{direction=taken}": 22,
		"peer_tree_blocks_total{outcome=asked}": 51, "peer_tree_blocks_total{outcome=got}": 52, "peer_tree_blocks_total{outcome=fell_back}": 53,
		"peer_tree_blocks_total{outcome=complained}": 54, "peer_tree_blocks_total{outcome=handed}": 55,
		"gossip_events_total{event=joined}": 61, "gossip_events_total{event=left}": 62, "gossip_events_total{event=died}": 63,
		"gossip_events_total{event=foreign_zone}": 64, "gossip_events_total{event=conflict}": 65, "gossip_events_total{event=undecryptable}": 66,
		"gossip_events_total{event=unreadable}": 67, "gossip_events_total{event=notice_sent}": 68, "gossip_events_total{event=notice_heard}": 69,
		"gossip_events_total{event=seed_failure}": 70, "gossip_events_total{event=key_reload}": 71, "gossip_events_total{event=key_error}": 72,
		"residency_messages_total{event=sent}": 73, "residency_messages_total{event=heard}": 74, "residency_messages_total{event=refused}": 75,
		"residency_messages_total{event=dropped}": 76, "residency_bytes_total{}": 77,
		"peer_certificates_refused_total{}":    81,
		"peer_refused_total{reason=handshake}": 91, "peer_refused_total{reason=identity}": 92, "peer_refused_total{reason=zone}": 93,
		"peer_refused_total{reason=connection}": 94, "peer_refused_total{reason=overload}": 95,
		"peer_odd_answers_total{kind=empty}": 101, "peer_odd_answers_total{kind=endless}": 102, "peer_odd_answers_total{kind=older}": 103,
	}
	for i, result := range strings.Fields("served redirected gone refused stalled failed withdrawn") {
		want["peer_requests_total{direction=sent,result="+result+"}"] = float64(31 + i)
		want["peer_requests_total{direction=received,result="+result+"}"] = float64(41 + i)
	}

	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(account.New(account.Options{}).Collector(account.Gauges{
		Tiers: map[block.Tier]account.Size{}, Zone: countedZone(zoneMetrics{z}.totals(s, tree, g)),
	}))
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	got := samplesOf(t, answer.Body.String())
	maps.DeleteFunc(got, func(_ string, n float64) bool { return n == 0 })
	if !maps.Equal(got, want) {
		for name := range want {
			if got[name] != want[name] {
				t.Errorf("%s: %g, want %g", name, got[name], want[name])
			}
		}
		for name := range got {
			if _, known := want[name]; !known {
				t.Errorf("%s: %g, and is not known", name, got[name])
			}
		}
	}
}
