package spread

import (
	"runtime/debug"
	"testing"

	"github.com/zonecache/cached/internal/figure"
)

// measured runs a scenario, or at quick size a small one like it, and reports its
// figures under its name.
func measured(t *testing.T, name string, p Protocol) *Result {
	t.Helper()
	sc, err := Find(name)
	if err != nil {
		t.Fatal(err)
	}
	z := sc.Zone
	if !figure.Full() {
		z = quick(z)
	}
	r := Run(z, p)
	t.Log(name, r)
	if r.Lacking > 0 {
		t.Fatalf("%s: %d hosts never had the image%s", name, r.Lacking, r.Stuck)
	}
	return r
}

// quick makes a zone one of a second.
func quick(z Zone) Zone {
	small := z
	small.Hosts, small.Image = min(z.Hosts, 32), min(z.Image, 8*mib)
	small.Readers = min(z.Readers, 16)
	return small
}

func report(t *testing.T, name string, r *Result) {
	t.Helper()
	by := r.Time.Over(r.Reachable)
	for _, f := range []struct {
		name  string
		value float64
		unit  string
	}{
		{"p50_x", by.P50, "x"},
		{"p99_x", by.P99, "x"},
		{"max_x", by.Max, "x"},
		{"p50_s", r.Time.P50, "s"},
		{"p99_s", r.Time.P99, "s"},
		{"p999_s", r.Time.P999, "s"},
		{"max_s", r.Time.Max, "s"},
		{"reads_per_block", r.ReadsPerBlock, "reads"},
		{"took_s", r.Took, "s"},
	} {
		figure.Report(t, "sim."+name+"."+f.name, f.value, f.unit)
	}
}

func TestProveBursts(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	for _, name := range []string{
		"start-1g", "start-10g", "start-4000", "image-1g", "image-10g", "starts-on-1000", "deaths", "deaths-image",
		"slow-links", "deaths-and-slow", "faasnet-2500", "dadi-10000", "kraken-2600", "small-memory",
	} {
		t.Run(name, func(t *testing.T) { report(t, name, measured(t, name, Cached)) })
	}
	t.Run("first-block", func(t *testing.T) {
		r := measured(t, "first-block", Cached)
		delay := Scenarios[0].Zone.OriginDelay.Seconds()
		figure.Report(t, "sim.first-block.p99_beyond_origin_ms", (r.First.P99-delay)*1e3, "ms")
	})
}

func TestProveLargeZones(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(200))
	for _, name := range []string{"starts-on-10000", "all-10000"} {
		t.Run(name, func(t *testing.T) { report(t, name, measured(t, name, Cached)) })
		debug.FreeOSMemory()
	}
}

func TestProveField(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	for _, name := range []string{"start-1g", "image-10g"} {
		t.Run(name, func(t *testing.T) {
			ours := measured(t, name, Cached)
			for _, p := range All[1:] {
				r := measured(t, name, p)
				figure.Report(t, "sim."+name+"."+string(p)+".by_cached", r.Time.P50/ours.Time.P50, "x")
			}
		})
	}
}
