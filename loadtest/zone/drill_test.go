package zone_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/loadtest/zone"
)

// governed is how many reads of the origin each host may have in progress in the drill.
const governed = 8

// A drilled is what `cached drill --json` says.
type drilled struct {
	Before    float64 `json:"hit_rate_before"`
	Lowest    float64 `json:"hit_rate_lowest"`
	Recovered bool    `json:"recovered"`
	Seconds   float64 `json:"recovery_seconds"`
	Reads     int64   `json:"reads"`
	Failed    int64   `json:"failed_reads"`
	Most      int64   `json:"origin_reads_in_progress_most"` // of all hosts, looked at each second
}

// TestProveZoneDrill empties the caches of a zone under load, as `cached drill` does, and
// has the store's own door count what comes through.
func TestProveZoneDrill(t *testing.T) {
	alone(t)
	measureDrill(t)
}

func measureDrill(t *testing.T) {
	o := options(t, zone.Redirect)
	o.Nodes, o.Image, o.L2 = 4, 24<<20, "1GiB"
	o.Link, o.OriginLink = fast, modest
	every, before, length := 25*time.Millisecond, "10s", 3*time.Minute
	if !figure.Full() {
		o.Nodes, o.Image, before, length = 2, 2<<20, "2s", time.Minute
	}
	o.Flags = append(o.Flags, "--origin-reads", fmt.Sprint(governed))
	gate := zone.NewGate()
	o.Front = gate.Front(t)
	z := zone.Start(t, o)
	blocks := show(t, z.Nodes[0], o, zone.ImageName)
	whole := newLoad(t, blocks, zone.ImageName, all(blocks))

	z.Burst(t) // every host has all of it
	var load []*zone.Agent
	for i, n := range z.Nodes {
		file := filepath.Join(t.TempDir(), "load")
		writeIDs(t, file, drawn(whole.ids, int(length/every), uint64(i)))
		load = append(load, n.Agent(t, "-image", "", "-ids", file, "-every", every.String(), "-timeout", "1m"))
	}
	zone.Go(t, load)
	mark := z.Store.Mark(t)
	gate.Forget()
	var d drilled
	out := on(t, z.Nodes[0], o.Programs.Command("drill", "--empty", "--before", before, "--for", length.String(), "--recovered", "0.99", "--json"))
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatal(err)
	}
	most, ofOne := gate.Most()
	reads := z.Store.Reads(t, mark)
	for _, a := range load {
		a.End()
	}
	var slowest float64
	var failed int64
	for _, r := range zone.Reports(t, load) {
		slowest, failed = max(slowest, r.Slowest), failed+r.Failed
	}
	t.Logf("%d hosts: hit rate %.4f, lowest %.4f, back after %.0f s; %d reads, %d failed, the slowest took %.2f s; %d reads of %d blocks at the origin, a block at most %d times, %d in progress (%d as the daemons say), %d of one host",
		len(z.Nodes), d.Before, d.Lowest, d.Seconds, d.Reads, d.Failed, slowest, reads.Total, len(reads.Blocks), reads.Most(), most, d.Most, ofOne)
	t.Logf("complaints: %s", zone.Complaints(z.Nodes))
	figure.Report(t, "zone.drill.hit_rate_before_percent", 100*d.Before, "%")
	figure.Report(t, "zone.drill.hit_rate_lowest_percent", 100*d.Lowest, "%")
	figure.Report(t, "zone.drill.recovery_s", d.Seconds, "s")
	figure.Report(t, "zone.drill.link_s", modest.Rate.Transfer(reads.Distinct).Seconds(), "s")
	figure.Report(t, "zone.drill.origin_reads_per_block", float64(reads.Total)/float64(len(reads.Blocks)), "reads")
	figure.Report(t, "zone.drill.in_progress", float64(most), "reads")
	figure.Report(t, "zone.drill.in_progress_of_one_by_limit", float64(ofOne)/governed, "x")
	figure.Report(t, "zone.drill.failed_reads", float64(failed+d.Failed), "reads")
	figure.Report(t, "zone.drill.slowest_read_s", slowest, "s")
	if !figure.Full() && (!d.Recovered || failed+d.Failed > 0 || ofOne > governed || reads.Most() > 1) {
		t.Errorf("recovered %v, %d reads failed, %d in progress of one host, a block read up to %d times", d.Recovered, failed+d.Failed, ofOne, reads.Most())
	}
}

// drawn are n blocks at random, each as likely as any other.
func drawn(ids []block.ID, n int, seed uint64) []block.ID {
	random := rand.New(rand.NewPCG(seed, 1))
	some := make([]block.ID, n)
	for i := range some {
		some[i] = ids[random.IntN(len(ids))]
	}
	return some
}
