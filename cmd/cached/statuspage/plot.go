package statuspage

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/zonecache/cached/block"
)

// The inner size of a plot in units of its view box, which is stretched to the page.
const (
	plotWidth  = 1200
	plotHeight = 200
	plotSteps  = 120 // at most
	tableRows  = 12
)

// windows are the times a plot may show; the shortest that has all is taken.
var windows = []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute, Span}

// A Plot shows the last hour, or what there is of it.
type Plot struct {
	Window  time.Duration
	Reads   Count     // of programs within it
	Shares  []Area    // of reads, by tier
	Rates   []Area    // bytes in a second, by tier
	RateTop string    // what the top of Rates is
	RateMid string    // and its middle
	Ticks   []string  // below both, from left to right
	Rows    []PlotRow // the same as a table, the latest first
}

// An Area is one tier's part of a stack.
type Area struct {
	Tier  string
	Path  string  // of an SVG
	Share float64 // of all within the window
	Count
}

// A PlotRow is a part of the window.
type PlotRow struct {
	Ago    string
	Shares [tiers]float64
	Reads  uint64
	Rate   uint64 // bytes in a second
}

// newPlot draws what was served.
func newPlot(now time.Time, served []interval) Plot {
	p := Plot{Window: window(now, served)}
	start := now.Add(-p.Window)
	served = slices.DeleteFunc(slices.Clone(served), func(i interval) bool { return i.from.Before(start) })
	var all Counts
	for _, i := range served {
		all = all.plus(i.served)
	}
	p.Reads = all.total()
	steps := merge(served, p.Window)
	top := niceTop(peak(steps))
	p.RateTop, p.RateMid = humanize.IBytes(top)+"/s", humanize.IBytes(top/2)+"/s"
	shares := func(s interval, tier int) (float64, bool) {
		n := s.served.total().Blocks
		return ratio(s.served[tier].Blocks, n), n > 0
	}
	rates := func(s interval, tier int) (float64, bool) {
		return float64(s.served[tier].Bytes) / s.to.Sub(s.from).Seconds() / float64(top), true
	}
	for tier := range tiers {
		a := Area{Tier: block.Tiers[tier].String(), Share: ratio(all[tier].Blocks, p.Reads.Blocks), Count: all[tier]}
		a.Path = stack(steps, tier, start, p.Window, shares)
		p.Shares = append(p.Shares, a)
		a.Path = stack(steps, tier, start, p.Window, rates)
		p.Rates = append(p.Rates, a)
	}
	for part := 4; part >= 1; part-- {
		p.Ticks = append(p.Ticks, ago(p.Window*time.Duration(part)/4))
	}
	p.Ticks = append(p.Ticks, "now")
	p.Rows = rows(now, served, p.Window)
	return p
}

func window(now time.Time, served []interval) time.Duration {
	for _, w := range windows {
		if len(served) == 0 || !served[0].from.Before(now.Add(-w)) {
			return w
		}
	}
	return Span
}

// merge joins intervals so that there are no more than can be told apart. Which are
// joined depends on their numbers alone: a step stays as it is while time goes on.
func merge(served []interval, window time.Duration) []interval {
	each := max(1, int(window/Every)/plotSteps)
	var steps []interval
	for _, i := range served {
		last := len(steps) - 1
		if last >= 0 && steps[last].number/each == i.number/each && steps[last].to.Equal(i.from) {
			steps[last].to, steps[last].served = i.to, steps[last].served.plus(i.served)
			continue
		}
		steps = append(steps, i)
	}
	return steps
}

// peak is the most bytes in a second.
func peak(steps []interval) float64 {
	most := 0.0
	for _, s := range steps {
		most = max(most, float64(s.served.total().Bytes)/s.to.Sub(s.from).Seconds())
	}
	return most
}

// niceTop is a round number of bytes that is not below f.
func niceTop(f float64) uint64 {
	for unit := uint64(1 << 10); ; unit <<= 10 {
		for _, n := range []uint64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512} {
			if top := n * unit; float64(top) >= f || top >= 1<<59 {
				return top
			}
		}
	}
}

// stack draws the part of tier, which stands on those before it: a step for each
// interval, nothing where value has none.
func stack(steps []interval, tier int, start time.Time, window time.Duration, value func(interval, int) (float64, bool)) string {
	x := func(t time.Time) float64 { return plotWidth * float64(t.Sub(start)) / float64(window) }
	y := func(f float64) float64 { return plotHeight * (1 - min(f, 1)) }
	var path strings.Builder
	for i := 0; i < len(steps); {
		end := i
		var upper, lower []string
		for ; end < len(steps) && (end == i || steps[end].from.Equal(steps[end-1].to)); end++ {
			height, ok := value(steps[end], tier)
			if !ok {
				break
			}
			base := 0.0
			for below := range tier {
				v, _ := value(steps[end], below)
				base += v
			}
			if end == i {
				fmt.Fprintf(&path, "M%.1f %.1f", x(steps[i].from), y(base))
			}
			upper = append(upper, fmt.Sprintf("V%.1fH%.1f", y(base+height), x(steps[end].to)))
			lower = append(lower, fmt.Sprintf("V%.1fH%.1f", y(base), x(steps[end].from)))
		}
		if end > i {
			slices.Reverse(lower)
			path.WriteString(strings.Join(upper, "") + strings.Join(lower, "") + "Z")
		}
		i = max(end, i+1)
	}
	return path.String()
}

// rows sums the window up in equal parts; those without reads are left out.
func rows(now time.Time, served []interval, window time.Duration) []PlotRow {
	part := window / tableRows
	var list []PlotRow
	for n := range tableRows {
		to := now.Add(-part * time.Duration(n))
		var sum Counts
		lasted := time.Duration(0)
		for _, i := range served {
			if i.to.After(to.Add(-part)) && !i.to.After(to) {
				sum, lasted = sum.plus(i.served), lasted+i.to.Sub(i.from)
			}
		}
		total := sum.total()
		if total.Blocks == 0 {
			continue
		}
		row := PlotRow{Ago: ago(part*time.Duration(n+1)) + " to " + ago(part*time.Duration(n)), Reads: total.Blocks, Rate: uint64(float64(total.Bytes) / lasted.Seconds())}
		for t := range sum {
			row.Shares[t] = ratio(sum[t].Blocks, total.Blocks)
		}
		list = append(list, row)
	}
	return list
}

// ago is a time before now, for people.
func ago(d time.Duration) string {
	switch {
	case d == 0:
		return "now"
	case d%time.Minute == 0:
		return fmt.Sprintf("−%d min", d/time.Minute)
	}
	return fmt.Sprintf("−%d:%02d min", d/time.Minute, d%time.Minute/time.Second)
}

func ratio(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
