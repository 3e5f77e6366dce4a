package draw

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"github.com/zonecache/cached/helm/dashboards"
)

// heatmap draws how many lie in each bucket of a histogram over time. Its series are
// cumulative and named by the upper bounds.
func (c *canvas) heatmap(p dashboards.Panel, series []Series, box rect) {
	type bucket struct {
		upper float64
		rates map[int64]float64
	}
	var buckets []bucket
	for _, s := range series {
		upper, err := strconv.ParseFloat(s.Name, 64)
		if err != nil {
			continue // it is no bucket
		}
		b := bucket{upper, map[int64]float64{}}
		for _, at := range s.Points {
			if finite(at.Value) {
				b.rates[at.At.UnixMilli()] = at.Value
			}
		}
		buckets = append(buckets, b)
	}
	slices.SortFunc(buckets, func(a, b bucket) int { return cmp.Compare(a.upper, b.upper) })
	most := 0.0
	first, last := len(buckets), -1
	for i := len(buckets) - 1; i > 0; i-- { // each less the one below it
		for at, v := range buckets[i].rates {
			buckets[i].rates[at] = max(0, v-buckets[i-1].rates[at])
		}
	}
	for i, b := range buckets {
		for _, v := range b.rates {
			most = max(most, v)
			if v > 0 {
				first, last = min(first, i), max(last, i)
			}
		}
	}
	if last < first {
		first, last = 0, len(buckets)-1
	}
	buckets = buckets[first : last+1]
	f := frame{rect{box.x + marksLeft, box.y + 4, box.w - marksLeft, box.h - marksBelow - 4 - legendLine}, c.data, float64(len(buckets))}
	c.timeMarks(f)
	tall := f.h / float64(len(buckets))
	every := int(math.Ceil(12 / tall))
	wide := f.w * float64(c.data.Step) / float64(c.data.To.Sub(c.data.From))
	for i, b := range buckets {
		if i%every == 0 {
			label := "≤ " + value(b.upper, p.Unit)
			if math.IsInf(b.upper, 1) {
				label = "more"
			}
			c.add(`<text class="soft" x="%.1f" y="%.1f" text-anchor="end">%s</text>`, f.x-6, f.py(float64(i)+0.5)+4, text(label))
		}
		for _, s := range series[0].Points {
			v := b.rates[s.At.UnixMilli()]
			x := f.px(s.At) - wide
			if v <= 0 || x < f.x-0.5 {
				continue
			}
			c.add(`<rect class="heat" x="%s" y="%s" width="%s" height="%s" fill-opacity="%.2f"/>`, num(x), num(f.py(float64(i+1))), num(wide+.2), num(tall+.2), 0.08+0.92*math.Sqrt(v/most))
		}
	}
	c.add(`<text class="soft" x="%.1f" y="%.1f">darkest: %s in a bucket</text>`, box.x+6, box.y+box.h+2, text(value(most, "reqps")))
}
