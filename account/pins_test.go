package account

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestWhatPinsKeepIsShown(t *testing.T) {
	pins := Pins{}
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(New(Options{}).Collector(Gauges{Pins: func() Pins { return pins }}))
	for _, want := range []string{`
# HELP cached_pinned_bytes Bytes of blocks that pins keep in L2, each block once.
# TYPE cached_pinned_bytes gauge
cached_pinned_bytes 0
`, `
# HELP cached_pinned_bytes Bytes of blocks that pins keep in L2, each block once.
# TYPE cached_pinned_bytes gauge
cached_pinned_bytes 50
`} {
		if err := testutil.GatherAndCompare(r, strings.NewReader(want), "cached_pinned_bytes"); err != nil {
			t.Error(err)
		}
		pins = Pins{Images: 2, Incomplete: 1, Kept: Count{Blocks: 5, Bytes: 50}, Limit: 100}
	}
	if n, err := testutil.GatherAndCount(r, "cached_pinned_images", "cached_pinned_incomplete_images", "cached_pinned_limit_bytes"); n != 3 || err != nil {
		t.Errorf("%d series, %v", n, err)
	}
}
