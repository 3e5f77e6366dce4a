package zone_test

import (
	"os"
	"testing"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/loadtest/zone"
)

// alone skips a measurement in `go test`, where TestZone makes a small one of it;
// ZONE_NODES makes it run alone also there, with so many nodes.
func alone(t *testing.T) {
	t.Helper()
	if !figure.Full() && os.Getenv("ZONE_NODES") == "" {
		t.Skip("at full size, with CACHED_PROVE=1; its small version is a part of TestZone")
	}
}

// TestZone is a small version of each measurement. Most share their zones, because
// starting one takes longer than a small burst in it.
func TestZone(t *testing.T) {
	if figure.Full() {
		t.Skip("at small size only; at full size each measurement runs alone, with zones of its own")
	}
	t.Run("shared", func(t *testing.T) {
		t.Parallel()
		f := own()
		f.share(t, options(t, zone.Redirect))
		f.share(t, options(t, zone.Alone))
		measureAll(t, f, []measurement{
			{"burst", measureBurst},
			{"burst over slow links", measureBurstSlowLinks},
			{"alone", measureBurstAlone},
			{"first block", measureFirstBlock},
			{"slow link", measureSlowLink},
			{"owner killed", measureOwnerKilled},
			{"rolling restart", measureRollingRestart},
			{"soak", measureSoak},
		})
	})
	t.Run("apart", func(t *testing.T) { // mostly waits
		t.Parallel()
		measureAll(t, own(), []measurement{
			{"latency", func(t *testing.T, _ *fields) { measureReadLatency(t) }},
			{"tree", measureBurstTree},
			{"partition", measurePartition},
		})
	})
	t.Run("restarted", func(t *testing.T) { // daemons anew for each, and mostly waits
		t.Parallel()
		measureAll(t, own(), []measurement{
			{"modes", func(t *testing.T, _ *fields) { measureModes(t) }},
			{"drill", func(t *testing.T, _ *fields) { measureDrill(t) }},
		})
	})
}

type measurement struct {
	name    string
	measure func(*testing.T, *fields)
}

// measureAll ends with the first measurement that fails: what comes next would
// find a zone in trouble.
func measureAll(t *testing.T, f *fields, all []measurement) {
	t.Helper()
	for _, m := range all {
		if !t.Run(m.name, func(t *testing.T) { m.measure(t, f) }) {
			return
		}
	}
}
