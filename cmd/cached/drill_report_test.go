package main

import (
	"strings"
	"testing"
	"time"

	"github.com/zonecache/cached/api/cachedv1"
)

// A drilledZone is two nodes whose counts a test moves on, second by second.
type drilledZone struct {
	t      *testing.T
	report *drillReport
	now    time.Time
	reads  uint64
	origin uint64
	state  cachedv1.DrillState
}

func newDrilledZone(t *testing.T, share float64) *drilledZone {
	z := &drilledZone{t: t, report: newDrillReport(share), now: time.Unix(1, 0), state: cachedv1.DrillState_DRILL_STATE_BEFORE, reads: 1e6, origin: 1e5}
	z.report.now = func() time.Time { return z.now }
	z.say()
	z.report.sample()
	return z
}

func (z *drilledZone) say() {
	for i, node := range []string{"b", "a"} {
		z.report.hear(&cachedv1.NodeDrill{
			Node: node, State: z.state, Served: &cachedv1.Count{Blocks: z.reads / 2}, OriginReads: &cachedv1.Count{Blocks: z.origin / 2, Bytes: 500 * z.origin},
			OriginInFlight: uint64(i) + 1,
		})
	}
}

// second has 1000 reads served, of which some were of the origin.
func (z *drilledZone) second(origin uint64) drillSample {
	z.t.Helper()
	z.now = z.now.Add(time.Second)
	z.reads, z.origin = z.reads+1000, z.origin+origin
	z.say()
	s, ok := z.report.sample()
	if !ok {
		z.t.Fatal("no sample")
	}
	return s
}

func TestADrillsReport(t *testing.T) {
	z := newDrilledZone(t, 0.95)
	z.second(10)
	if s := z.second(10); s.HitRate != 0.99 || s.Empty || s.Reads != 1000 || s.OriginBytes != 10_000 || s.OriginInFlight != 3 || s.Seconds != 2 {
		t.Errorf("before: %+v", s)
	}
	z.state = cachedv1.DrillState_DRILL_STATE_EMPTY
	for i, origin := range []uint64{900, 500, 200, 40, 40} { // 3 s: 0.467, 4 s: 0.753, 5 s: 0.907
		if z.second(origin); z.report.Recovered {
			t.Fatalf("recovered after %d s", i+1)
		}
	}
	z.second(40) // 6 s: 0.96 of 0.99
	r := z.report
	if !r.Recovered || r.RecoverySecond != 6 || r.HitRateBefore != 0.99 || r.HitRateLowest > 0.11 || r.OriginReads != 1720 || r.Reads != 6000 || r.OriginMost != 3 {
		t.Errorf("report %+v", *r)
	}
	if err := r.problem(); err != nil {
		t.Error(err)
	}
	if got := strings.Join(r.Nodes, " "); got != "a b" {
		t.Errorf("nodes %s", got)
	}
	var out strings.Builder
	if err := r.print(&out); err != nil || !strings.Contains(out.String(), "back at  95 % of it  after 6 s") {
		t.Errorf("%v, printed %s", err, out.String())
	}
}

func TestDrillsThatDoNotGoAsTheyShould(t *testing.T) {
	for _, test := range []struct {
		name string
		run  func(z *drilledZone)
		want string
	}{
		{"over too early", func(z *drilledZone) { z.second(10) }, "ended before the caches"},
		{"not back", func(z *drilledZone) {
			z.second(10)
			z.state = cachedv1.DrillState_DRILL_STATE_EMPTY
			for range 10 {
				z.second(500)
			}
		}, "not back at 95 % of 99.0 %"},
		{"no reads", func(z *drilledZone) {
			z.now = z.now.Add(time.Second)
			z.report.sample()
			z.state = cachedv1.DrillState_DRILL_STATE_EMPTY
			z.say()
			z.now = z.now.Add(time.Second)
			z.report.sample()
		}, "nobody read"},
		{"a node fails", func(z *drilledZone) {
			z.second(10)
			z.state = cachedv1.DrillState_DRILL_STATE_EMPTY
			z.report.hear(&cachedv1.NodeDrill{Node: "c", State: cachedv1.DrillState_DRILL_STATE_FAILED, Problem: "no such call"})
			for range drillWindow {
				z.second(10)
			}
			if !z.report.Recovered {
				z.t.Error("the others do not count")
			}
		}, "1 nodes did not"},
	} {
		t.Run(test.name, func(t *testing.T) {
			z := newDrilledZone(t, 0.95)
			test.run(z)
			if err := z.report.problem(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}
