package draw

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zonecache/cached/helm/dashboards"
)

// colours are of a panel's series, and of the tiers wherever they are.
var (
	colours = []string{"#2563eb", "#0f8f83", "#c77700", "#be2f45", "#7c4dd6", "#3f9b46", "#b8489c", "#6b7785", "#1393c4", "#8c6239"}
	tiers   = map[string]string{"l1": "#3b76f0", "l2": "#159a8c", "l3": "#d08a1d", "l4": "#d0485c"}
)

func colour(i int, name string) string {
	if c, ok := tiers[name]; ok {
		return c
	}
	return colours[i%len(colours)]
}

// empty reports whether there is nothing to draw.
func empty(series []Series) bool {
	return !slices.ContainsFunc(series, func(s Series) bool {
		return slices.ContainsFunc(s.Points, func(p Point) bool { return finite(p.Value) })
	})
}

// busiestFirst puts those last that are zero all the time: a legend has no room for
// all of many.
func busiestFirst(series []Series) []Series {
	idle := func(s Series) int {
		if slices.ContainsFunc(s.Points, func(p Point) bool { return finite(p.Value) && p.Value != 0 }) {
			return 0
		}
		return 1
	}
	return slices.SortedStableFunc(slices.Values(series), func(a, b Series) int { return cmp.Compare(idle(a), idle(b)) })
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// The room for marks beside a plot.
const (
	marksLeft   = 64
	marksBelow  = 18
	legendLine  = 16
	letterWidth = 6.1
)

// A frame is the inside of a plot and its scales.
type frame struct {
	rect
	data Data
	top  float64
}

func (f frame) px(t time.Time) float64 {
	return f.x + f.w*float64(t.Sub(f.data.From))/float64(f.data.To.Sub(f.data.From))
}

func (f frame) py(v float64) float64 { return f.y + f.h*(1-v/f.top) }

// lines draws series over time, each from zero or on the one before it, above a
// legend.
func (c *canvas) lines(p dashboards.Panel, series []Series, box rect) {
	if p.Stacked {
		series = stacked(series)
	}
	top := 0.0
	for _, s := range series {
		for _, at := range s.Points {
			if finite(at.Value) {
				top = max(top, at.Value)
			}
		}
	}
	marks := nice(top, p.Unit)
	legend := legendRows(series, box.w)
	f := frame{rect{box.x + marksLeft, box.y + 4, box.w - marksLeft, box.h - marksBelow - 4 - float64(len(legend))*legendLine}, c.data, marks[len(marks)-1]}
	for _, m := range marks {
		c.add(`<path class="grid" d="M%.1f %.1fh%.1f"/><text class="soft" x="%.1f" y="%.1f" text-anchor="end">%s</text>`, f.x, f.py(m), f.w, f.x-6, f.py(m)+4, text(value(m, p.Unit)))
	}
	c.timeMarks(f)
	for i := range slices.Backward(series) { // the first of a stack lies before the others
		s, col := series[i], colour(i, series[i].Name)
		for _, run := range runs(s.Points, c.data.Step) {
			var below []Point
			if p.Stacked && i > 0 {
				below = beside(series[i-1].Points, run)
			}
			fill := "area"
			switch {
			case !p.Stacked && len(series) > maxFilled:
				fill = ""
			case !p.Stacked:
				fill = "under"
			}
			c.run(f, run, below, col, fill)
		}
	}
	c.legend(legend, f.x-marksLeft+6, box.y+box.h-float64(len(legend))*legendLine+12)
}

// maxFilled is how many lines one can tell apart with their areas filled.
const maxFilled = 2

// run draws one unbroken part of a series, filled down to below, or to zero, as the
// class fill says.
func (c *canvas) run(f frame, run, below []Point, col, fill string) {
	var line strings.Builder
	for i, p := range run {
		line.WriteString(string("ML"[min(i, 1)]) + num(f.px(p.At)) + " " + num(f.py(p.Value)))
	}
	floor := "L" + num(f.px(run[len(run)-1].At)) + " " + num(f.py(0)) + "L" + num(f.px(run[0].At)) + " " + num(f.py(0))
	if len(below) > 0 {
		floor = ""
		for _, p := range slices.Backward(below) {
			floor += "L" + num(f.px(p.At)) + " " + num(f.py(p.Value))
		}
	}
	if fill != "" {
		c.add(`<path class="%s" fill="%s" d="%s%sZ"/>`, fill, col, line.String(), floor)
	}
	if len(run) == 1 {
		c.add(`<circle cx="%s" cy="%s" r="2" fill="%s"/>`, num(f.px(run[0].At)), num(f.py(run[0].Value)), col)
		return
	}
	c.add(`<path class="line" stroke="%s" d="%s"/>`, col, line.String())
}

func num(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

// stacked adds to each series those before it; a series that has no value at a time
// adds nothing.
func stacked(series []Series) []Series {
	sum := map[int64]float64{}
	list := make([]Series, 0, len(series))
	var at []int64
	for _, s := range series {
		for _, p := range s.Points {
			at = append(at, p.At.UnixMilli())
		}
	}
	slices.Sort(at)
	at = slices.Compact(at)
	for _, s := range series {
		for _, p := range s.Points {
			if finite(p.Value) {
				sum[p.At.UnixMilli()] += p.Value
			}
		}
		points := make([]Point, 0, len(at))
		for _, ms := range at {
			points = append(points, Point{time.UnixMilli(ms).UTC(), sum[ms]})
		}
		list = append(list, Series{s.Name, points})
	}
	return list
}

// beside returns the points at the times of run.
func beside(points, run []Point) []Point {
	from, _ := slices.BinarySearchFunc(points, run[0].At, func(p Point, t time.Time) int { return p.At.Compare(t) })
	return points[from:min(from+len(run), len(points))]
}

// runs cuts a series where it has gaps.
func runs(points []Point, step time.Duration) (list [][]Point) {
	var run []Point
	for _, p := range points {
		if len(run) > 0 && (!finite(p.Value) || p.At.Sub(run[len(run)-1].At) > step*3/2) {
			list, run = append(list, run), nil
		}
		if finite(p.Value) {
			run = append(run, p)
		}
	}
	if len(run) > 0 {
		list = append(list, run)
	}
	return list
}

func (c *canvas) timeMarks(f frame) {
	marks, layout := times(c.data.From, c.data.To)
	for _, t := range marks {
		anchor := "middle"
		if f.px(t) > f.x+f.w-20 {
			anchor = "end"
		}
		c.add(`<path class="grid" d="M%.1f %.1fv%.1f"/><text class="soft" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, f.px(t), f.y, f.h, f.px(t), f.y+f.h+14, anchor, t.UTC().Format(layout))
	}
}

// An entry is one name of a legend.
type entry struct {
	name, colour string
	wide         float64
}

const maxLegendRows = 2

// legendRows breaks the names into rows; what does not fit is counted.
func legendRows(series []Series, wide float64) (rows [][]entry) {
	var row []entry
	used := 0.0
	for i, s := range series {
		e := entry{s.Name, colour(i, s.Name), 26 + letterWidth*float64(len([]rune(s.Name)))}
		if used+e.wide > wide && len(row) > 0 {
			if len(rows)+1 == maxLegendRows {
				row[len(row)-1] = entry{name: fmt.Sprintf("and %d more", len(series)-i+1)}
				break
			}
			rows, row, used = append(rows, row), nil, 0
		}
		row, used = append(row, e), used+e.wide
	}
	return append(rows, row)
}

func (c *canvas) legend(rows [][]entry, x, y float64) {
	for i, row := range rows {
		at := x
		for _, e := range row {
			if e.colour != "" {
				c.add(`<rect x="%.1f" y="%.1f" width="10" height="10" rx="2" fill="%s"/>`, at, y+float64(i)*legendLine-9, e.colour)
			}
			c.add(`<text class="soft" x="%.1f" y="%.1f">%s</text>`, at+14, y+float64(i)*legendLine, text(e.name))
			at += e.wide
		}
	}
}

// number draws the last value of each series over its course.
func (c *canvas) number(p dashboards.Panel, series []Series, box rect) {
	f := frame{rect{box.x, box.y + box.h*0.55, box.w, box.h * 0.45}, c.data, 0}
	for i, s := range series {
		last := "–"
		for _, at := range s.Points {
			if finite(at.Value) {
				f.top = max(f.top, at.Value)
				last = value(at.Value, p.Unit)
			}
		}
		f.top = cmp.Or(f.top, 1)
		for _, run := range runs(s.Points, c.data.Step) {
			c.run(f, run, nil, colour(i, s.Name), "under")
		}
		c.add(`<text x="%.1f" y="%.1f" text-anchor="middle" font-size="40" font-weight="600" fill="%s">%s</text>`, box.x+box.w*(float64(i)+0.5)/float64(len(series)), box.y+box.h*0.36, colour(i, s.Name), text(last))
	}
}
