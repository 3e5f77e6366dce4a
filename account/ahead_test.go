package account

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestWhatCameOfReadingAheadIsShown(t *testing.T) {
	ahead := Ahead{
		Used: Count{1, 10}, Late: Count{2, 20}, Wasted: Count{3, 30}, Pending: Count{4, 40}, Missed: 5, Recorded: 6, Refused: 7, Lost: 8,
	}
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(New(Options{}).Collector(Gauges{Ahead: func() Ahead { return ahead }}))
	want := `
# HELP cached_prefetch_blocks_total Blocks read ahead of programs: here when one asked (used), on their way (late), or not asked for until the start was over (wasted).
# TYPE cached_prefetch_blocks_total counter
cached_prefetch_blocks_total{result="late"} 2
cached_prefetch_blocks_total{result="used"} 1
cached_prefetch_blocks_total{result="wasted"} 3
# HELP cached_prefetch_bytes_total Bytes of blocks read ahead of programs.
# TYPE cached_prefetch_bytes_total counter
cached_prefetch_bytes_total{result="late"} 20
cached_prefetch_bytes_total{result="used"} 10
cached_prefetch_bytes_total{result="wasted"} 30
# HELP cached_prefetch_missed_blocks_total Blocks that programs of starts with a profile asked for before they were read ahead.
# TYPE cached_prefetch_missed_blocks_total counter
cached_prefetch_missed_blocks_total 5
# HELP cached_prefetch_pending_blocks Blocks read ahead that no program has asked for so far.
# TYPE cached_prefetch_pending_blocks gauge
cached_prefetch_pending_blocks 4
# HELP cached_prefetch_pending_bytes Bytes of blocks read ahead that no program has asked for so far.
# TYPE cached_prefetch_pending_bytes gauge
cached_prefetch_pending_bytes 40
# HELP cached_prefetch_starts_total Starts whose reads were recorded, those that were not (refused), and traces that were lost.
# TYPE cached_prefetch_starts_total counter
cached_prefetch_starts_total{result="lost"} 8
cached_prefetch_starts_total{result="recorded"} 6
cached_prefetch_starts_total{result="refused"} 7
`
	if err := testutil.GatherAndCompare(r, strings.NewReader(want), "cached_prefetch_blocks_total", "cached_prefetch_bytes_total",
		"cached_prefetch_missed_blocks_total", "cached_prefetch_pending_blocks", "cached_prefetch_pending_bytes", "cached_prefetch_starts_total"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(r); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}
