package bench

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A chart is drawn as SVG that takes its colours from the page's style sheet.
type chart struct {
	Title string
	About string // what is seen, in a line
	x, y  string // what the axes are
	logX  bool
	top   float64 // end of the y axis; 0: as the data want
	Lines []line
}

// A line is one series of a chart.
type line struct {
	Name   string
	Class  string // of the style sheet: its colour
	points [][2]float64
	mark   mark
}

type mark bool

const (
	joined mark = false
	dots   mark = true
)

// The drawing, in its own units.
const (
	width, height            = 720.0, 280.0
	left, right, above, foot = 62.0, 22.0, 10.0, 40.0
	maxPoints                = 2000 // of a line; of more, each so manieth is drawn
)

// SVG draws the chart.
func (c chart) SVG() template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, width, height, html.EscapeString(c.Title))
	if x, y, any := c.bounds(); any {
		c.axes(&b, x, y)
		for _, l := range c.Lines {
			l.draw(&b, x.at, y.at)
		}
	} else {
		fmt.Fprintf(&b, `<text class="label" x="%g" y="%g" text-anchor="middle">nothing to show</text>`, width/2, height/2)
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) // made of numbers and escaped text
}

// An axis goes from low to high, and knows where on the paper a value is. The ends of
// a logarithmic one are exponents.
type axis struct {
	low, high float64
	at        func(float64) float64
}

// bounds returns the axes that show all there is, if anything.
func (c chart) bounds() (x, y axis, any bool) {
	x, y = axis{low: math.Inf(1), high: math.Inf(-1)}, axis{high: c.top}
	for _, l := range c.Lines {
		for _, p := range l.points {
			if math.IsNaN(p[1]) {
				continue
			}
			any = true
			x.low, x.high = min(x.low, p[0]), max(x.high, p[0])
			if c.top == 0 {
				y.high = max(y.high, p[1]*1.05)
			}
		}
	}
	if c.logX {
		x.low, x.high = math.Floor(math.Log10(max(x.low, 1e-3))), math.Ceil(math.Log10(max(x.high, 1e-3)))
	} else {
		x.low = min(x.low, 0)
	}
	if x.high <= x.low {
		x.high = x.low + 1
	}
	if y.high <= 0 {
		y.high = 1
	}
	x.at = func(v float64) float64 {
		if c.logX {
			v = math.Log10(v)
		}
		return left + (v-x.low)/(x.high-x.low)*(width-left-right)
	}
	y.at = func(v float64) float64 { return height - foot - v/y.high*(height-above-foot) }
	return x, y, any
}

func (c chart) axes(b *strings.Builder, x, y axis) {
	for _, v := range ticks(y.low, y.high) {
		at := y.at(v)
		fmt.Fprintf(b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text class="tick" x="%g" y="%.1f" text-anchor="end">%s</text>`,
			left, width-right, at, at, left-6, at+4, number(v))
	}
	values := ticks(x.low, x.high)
	if c.logX {
		values = nil
		for e := x.low; e <= x.high; e++ {
			values = append(values, math.Pow(10, e))
		}
	}
	for _, v := range values {
		at := x.at(v)
		fmt.Fprintf(b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%g" y2="%g"/><text class="tick" x="%.1f" y="%g" text-anchor="middle">%s</text>`,
			at, at, above, height-foot, at, height-foot+16, number(v))
	}
	fmt.Fprintf(b, `<text class="label" x="%g" y="%g" text-anchor="middle">%s</text>`, (left+width-right)/2, height-6, html.EscapeString(c.x))
	fmt.Fprintf(b, `<text class="label" transform="translate(13 %g) rotate(-90)" text-anchor="middle">%s</text>`, (above+height-foot)/2, html.EscapeString(c.y))
}

func (l line) draw(b *strings.Builder, atX, atY func(float64) float64) {
	step := max(1, (len(l.points)+maxPoints-1)/maxPoints)
	path, pen := strings.Builder{}, "M"
	for i := 0; i < len(l.points); i += step {
		p := l.points[i]
		if math.IsNaN(p[1]) { // a gap
			pen = "M"
			continue
		}
		x, y := atX(p[0]), atY(p[1])
		if l.mark == dots {
			fmt.Fprintf(b, `<circle class="%s" cx="%.1f" cy="%.1f" r="3"><title>%s: %s, %s</title></circle>`, l.Class, x, y, html.EscapeString(l.Name), number(p[0]), number(p[1]))
			continue
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", pen, x, y)
		pen = "L"
	}
	if path.Len() > 0 {
		fmt.Fprintf(b, `<path class="%s" d="%s"><title>%s</title></path>`, l.Class, path.String(), html.EscapeString(l.Name))
	}
}

// ticks returns about five round numbers between two.
func ticks(low, high float64) []float64 {
	raw := (high - low) / 5
	unit := math.Pow(10, math.Floor(math.Log10(raw)))
	step := 10 * unit
	for _, s := range []float64{1, 2, 5} {
		if s*unit >= raw {
			step = s * unit
			break
		}
	}
	var all []float64
	for i := math.Ceil(low / step); i*step <= high*(1+1e-9); i++ {
		all = append(all, i*step)
	}
	return all
}

// number writes a number of an axis.
func number(v float64) string {
	for _, u := range []struct {
		of   float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e4, ""}} {
		if math.Abs(v) >= u.of && u.name != "" {
			return strconv.FormatFloat(v/u.of, 'g', 3, 64) + " " + u.name
		}
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// tierClass is the class of the colour of a tier.
func tierClass(name string) string {
	if slices.Contains([]string{"l1", "l2", "l3", "l4"}, name) {
		return name
	}
	return "all"
}
