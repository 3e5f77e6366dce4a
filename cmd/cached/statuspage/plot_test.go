package statuspage

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"
)

// historyOf has one interval of ten seconds for each element, the last ends at now.
func historyOf(served ...Counts) (list []interval, now time.Time) {
	at := began
	for i, c := range served {
		list = append(list, interval{number: i + 1, from: at, to: at.Add(Every), served: c})
		at = at.Add(Every)
	}
	return list, at
}

func served(l1, l2, l3, l4 uint64) (c Counts) {
	for i, n := range []uint64{l1, l2, l3, l4} {
		c[i] = Count{n, n << 18}
	}
	return c
}

func TestPlotSaysWhoServed(t *testing.T) {
	list, now := historyOf(served(0, 0, 0, 8), served(0, 0, 0, 0), served(6, 1, 1, 0))
	p := newPlot(now, list)
	if p.Window != 5*time.Minute || p.Reads.Blocks != 16 {
		t.Errorf("%+v", p)
	}
	for i, want := range []float64{6. / 16, 1. / 16, 1. / 16, 8. / 16} {
		if p.Shares[i].Share != want {
			t.Errorf("%s: %v, want %v", p.Shares[i].Tier, p.Shares[i].Share, want)
		}
	}
	// 5 minutes are 1200 wide: a step is 40. The origin served all of the first, which
	// fills it; there is a gap where nothing was read.
	if got, want := p.Shares[3].Path, "M1080.0 200.0V0.0H1120.0V200.0H1080.0Z"+"M1160.0 0.0V0.0H1200.0V0.0H1160.0Z"; got != want {
		t.Errorf("l4: %s, want %s", got, want)
	}
	if got, want := p.Shares[1].Path, "M1080.0 200.0V200.0H1120.0V200.0H1080.0Z"+"M1160.0 50.0V25.0H1200.0V50.0H1160.0Z"; got != want {
		t.Errorf("l2: %s, want %s", got, want)
	}
	// Eight blocks of 256 KiB in ten seconds: 209,715 bytes a second.
	if p.RateTop != "256 KiB/s" || p.RateMid != "128 KiB/s" || !strings.Contains(p.Rates[3].Path, fmt.Sprintf("V%.1fH1120.0", 200*(1-0.8))) {
		t.Errorf("%s %s %s", p.RateTop, p.RateMid, p.Rates[3].Path)
	}
	if got := strings.Join(p.Ticks, " "); got != "−5 min −3:45 min −2:30 min −1:15 min now" {
		t.Error(got)
	}
	// The table has 25 seconds a row: all three are in the latest.
	if len(p.Rows) != 1 || p.Rows[0].Ago != "−0:25 min to now" || p.Rows[0].Reads != 16 || p.Rows[0].Shares != [tiers]float64{6. / 16, 1. / 16, 1. / 16, 8. / 16} || p.Rows[0].Rate != 16<<18/30 {
		t.Errorf("%+v", p.Rows)
	}
}

// Neither nothing nor anything else makes a number that is none.
func TestPlotOfNothing(t *testing.T) {
	for name, counts := range map[string][]Counts{"no sample": {}, "no read": {served(0, 0, 0, 0)}, "much": {served(0, 0, 0, math.MaxUint64>>20)}} {
		list, now := historyOf(counts...)
		p := newPlot(now, list)
		if doc := fmt.Sprintf("%+v", p); regexp.MustCompile(`NaN|Inf`).MatchString(doc) {
			t.Errorf("%s: %s", name, doc)
		}
	}
}

func TestPlotOfAnHour(t *testing.T) {
	var all []Counts
	for range Span / Every {
		all = append(all, served(3, 0, 0, 1))
	}
	list, now := historyOf(all...)
	p := newPlot(now, list)
	steps := merge(list, p.Window)
	if p.Window != Span || len(steps) < plotSteps || len(steps) > plotSteps+1 || len(p.Rows) != tableRows {
		t.Errorf("%s, %d steps, %d rows", p.Window, len(steps), len(p.Rows))
	}
	var sum Counts
	for _, s := range steps {
		sum = sum.plus(s.served)
	}
	if sum.total() != p.Reads {
		t.Errorf("%v, want %v", sum.total(), p.Reads)
	}
	// Ten seconds later the same is drawn, moved.
	later := merge(list[1:], p.Window)
	for i := 1; i < len(later); i++ {
		if later[i].number != steps[i].number || !later[i].to.Equal(steps[i].to) {
			t.Fatalf("step %d was %+v and is %+v", i, steps[i], later[i])
		}
	}
}

// A process that stood still is no line across.
func TestPlotHasGaps(t *testing.T) {
	list, _ := historyOf(served(1, 0, 0, 0), served(1, 0, 0, 0))
	list[1].from, list[1].to = list[1].from.Add(time.Minute), list[1].to.Add(time.Minute)
	if got := strings.Count(newPlot(list[1].to, list).Shares[0].Path, "M"); got != 2 {
		t.Errorf("%d areas, want two", got)
	}
}
