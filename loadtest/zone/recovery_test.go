package zone_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/loadtest/zone"
	"github.com/zonecache/cached/loadtest/zone/report"
)

// The steady load beside a burst: each host reads a block that nobody has, a third of
// what the origin's link carries in all.
const (
	steadyBlock = 32 << 10
	steadyEvery = 500 * time.Millisecond
)

// TestProveZoneRecovery has all hosts read at a steady pace, lets a burst come, and
// measures how long it takes until these reads are again as quick as before, in the zone
// and where each program reads the origin for itself.
func TestProveZoneRecovery(t *testing.T) {
	alone(t)
	s := newStage(t, concurrency[len(concurrency)-1])
	const longest = 3 * time.Minute
	perHost := int(longest / steadyEvery)
	ids := s.Store.PutBlocks(t, len(s.Nodes)*perHost, steadyBlock)
	took := map[string]float64{}
	for _, name := range []string{"direct", "redirect"} {
		took[name] = s.recoveryOf(t, modeOf(name), ids, perHost)
		figure.Report(t, "zone.recovery."+name+"_s", took[name], "s")
	}
	figure.Report(t, "zone.recovery.less_percent", 100*(1-took["redirect"]/took["direct"]), "%")
}

// quiet is how long the steady load goes on alone before the burst and after it.
const quiet = 8 * time.Second

func (s *stage) recoveryOf(t *testing.T, m mode, ids []block.ID, perHost int) float64 {
	t.Helper()
	c := scene{mode: m, load: s.start, ahead: m.daemons, hosts: len(s.Nodes), programs: 1}
	s.reset(t, c)
	var steady []*zone.Agent
	for i, n := range s.Nodes {
		file := filepath.Join(t.TempDir(), "steady")
		writeIDs(t, file, ids[i*perHost:(i+1)*perHost])
		flags := []string{"-image", "", "-ids", file, "-every", steadyEvery.String(), "-timeout", "3m"}
		if !m.daemons {
			flags = append(flags, "-origin", s.Origin)
		}
		steady = append(steady, n.Agent(t, flags...))
	}
	programs := s.starts(t, c)
	began := time.Now()
	offsets := make([]float64, len(steady)) // their reads come one after the other
	for i := range steady {
		zone.Go(t, steady[i:i+1])
		offsets[i] = time.Since(began).Seconds()
		<-time.After(time.Until(began.Add(time.Duration(i+1) * steadyEvery / time.Duration(len(steady)))))
	}
	<-time.After(quiet)
	burst := time.Since(began)
	zone.Go(t, programs)
	reports := zone.Reports(t, programs)
	<-time.After(quiet)
	for _, a := range steady {
		a.End()
	}
	var reads []report.Read
	for i, r := range zone.Reports(t, steady) {
		if r.Failed > 0 {
			t.Errorf("%s: host %d: %d steady reads failed: %v", m.name, i, r.Failed, r.Errors)
		}
		for _, read := range r.OnTime {
			read.Due += offsets[i]
			reads = append(reads, read)
		}
	}
	seconds, before, ok := recovery(reads, burst, 1)
	if !ok {
		t.Errorf("%s: the steady reads are not as they were %s after the burst", m.name, quiet)
	}
	for from := 0.0; from < burst.Seconds()+last(reports)+quiet.Seconds(); from += 4 {
		if in := between(reads, from, from+4); len(in) > 0 {
			t.Logf("%s, %3.0f s: %3d reads, median %.0f ms, nine of ten in %.0f", m.name, from, len(in), 1e3*quantileOf(in, 0.5), 1e3*quantileOf(in, 0.9))
		}
	}
	t.Logf("%s: the burst took %.2f s; nine of ten steady reads took %.0f ms before it, and no more than twice that from %.1f s after its arrival", m.name, last(reports), 1e3*before, seconds)
	figure.Report(t, "zone.recovery."+m.name+"_burst_s", last(reports), "s")
	figure.Report(t, "zone.recovery."+m.name+"_before_p90_ms", 1e3*before, "ms")
	return seconds
}

// recovery is when reads are as they were: the time since the burst of the first of three
// windows in a row in which nine of ten reads take no more than twice what nine of ten
// took before. Windows are of so many seconds.
func recovery(reads []report.Read, burst time.Duration, window float64) (seconds, before float64, ok bool) {
	const windows = 3
	at := burst.Seconds()
	before = quantileOf(between(reads, 0, at), 0.9)
	end := slices.MaxFunc(reads, func(a, b report.Read) int { return int(1e6 * (a.Due - b.Due)) }).Due
	normal := 0
	for from := at; from+window <= end; from += window {
		in := between(reads, from, from+window)
		if len(in) == 0 || quantileOf(in, 0.9) > 2*before {
			normal = 0
		} else if normal++; normal == windows {
			return from - (windows-1)*window - at, before, true
		}
	}
	return end - at, before, false
}

// between returns how long the reads took that were due within a time.
func between(reads []report.Read, from, to float64) (took []float64) {
	for _, r := range reads {
		if r.Due >= from && r.Due < to {
			took = append(took, r.Took)
		}
	}
	return took
}

func quantileOf(all []float64, q float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(int(q*float64(len(all))), len(all)-1)]
}

func writeIDs(t *testing.T, file string, ids []block.ID) {
	t.Helper()
	var lines []byte
	for _, id := range ids {
		lines = fmt.Appendln(lines, id)
	}
	if err := os.WriteFile(file, lines, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRecoveryIsWhenReadsAreAsTheyWere(t *testing.T) {
	var reads []report.Read
	for i := range 300 { // ten a second
		due := float64(i) / 10
		took := 0.02
		if due >= 10 && due < 17 || due >= 19 && due < 20 { // two good seconds are not enough
			took = 1
		}
		reads = append(reads, report.Read{Due: due, Took: took})
	}
	for _, tt := range []struct {
		name  string
		reads []report.Read
		want  float64
		ok    bool
	}{
		{"recovers", reads, 10, true},
		{"ends before", reads[:180], 7.9, false},
	} {
		got, before, ok := recovery(tt.reads, 10*time.Second, 1)
		if got < tt.want-1e-6 || got > tt.want+1e-6 || ok != tt.ok || before != 0.02 {
			t.Errorf("%s: %v s, %v before, %v; want %v s, %v", tt.name, got, before, ok, tt.want, tt.ok)
		}
	}
}
