// Package draw makes a picture of a dashboard from what a Prometheus answered to its
// queries: one SVG with the panels where Grafana puts them, their titles, units, axes
// and legends. It is no Grafana; it shows the same data.
package draw

import (
	"bytes"
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"time"

	"github.com/zonecache/cached/helm/dashboards"
)

// A Series is one line of a panel.
type Series struct {
	Name   string // as the legend shows it
	Points []Point
}

// A Point is a value at a time; one that is no number is a gap.
type Point struct {
	At    time.Time
	Value float64
}

// A Data is what the queries of a dashboard's panels gave, in their order.
type Data struct {
	From, To time.Time
	Step     time.Duration // between two points; a longer way is a gap
	Panels   [][]Series
	Caption  string // what was run, below the title
}

// The measures of a picture, in pixels.
const (
	width     = 1280
	margin    = 16
	between   = 10
	header    = 82
	rowHeight = 236
	columns   = 24
)

// Dashboard draws d.
func Dashboard(d dashboards.Dashboard, data Data) ([]byte, error) {
	if len(data.Panels) != len(d.Panels) {
		return nil, fmt.Errorf("draw %s: data of %d panels, want %d", d.Name, len(data.Panels), len(d.Panels))
	}
	if !data.To.After(data.From) {
		return nil, fmt.Errorf("draw %s: it ends before it begins", d.Name)
	}
	places := d.Places()
	rows := 0
	for _, p := range places {
		rows = max(rows, p.Row+1)
	}
	c := &canvas{data: data}
	height := header + rows*(rowHeight+between) + margin
	c.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="title about" font-family="system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif" font-size="11">`,
		width, height, width, height)
	c.add(`<title id="title">%s</title><desc id="about">%s</desc><metadata>%s</metadata><style>%s</style>`, text(d.Title), text(d.About), Digest(d), style)
	c.add(`<rect class="back" width="%d" height="%d"/>`, width, height)
	c.add(`<text class="text" x="%d" y="32" font-size="19" font-weight="600">cached / %s</text>`, margin, text(d.Title))
	c.add(`<text class="soft" x="%d" y="52" font-size="12">%s</text><text class="soft" x="%[1]d" y="70" font-size="12">%[3]s</text>`, margin, text(d.About), text(data.Caption))
	for i, p := range d.Panels {
		w := float64(width-2*margin+between) / columns
		box := rect{
			x: margin + float64(places[i].Column)*w, y: float64(header + places[i].Row*(rowHeight+between)),
			w: float64(places[i].Wide)*w - between, h: rowHeight,
		}
		c.panel(p, data.Panels[i], box)
	}
	c.add("</svg>\n")
	return c.doc.Bytes(), nil
}

// Digest is of the queries of d, and in the picture: one that was drawn of others is told
// by it.
func Digest(d dashboards.Dashboard) string {
	h := sha256.New()
	for _, p := range d.Panels {
		fmt.Fprintf(h, "%q %q\n", p.Title, p.Queries) // never fails
	}
	return fmt.Sprintf("queries %x", h.Sum(nil)[:16])
}

// style follows the reader's choice of light or dark, and gives tiers the colours of
// the status page.
const style = `.back{fill:#f3f5f8}.card{fill:#fff;stroke:#d5dde6}.text{fill:#17202c}.soft{fill:#52606f}.grid{stroke:#e3e9f0;fill:none}.line{fill:none;stroke-width:1.4;stroke-linejoin:round}` +
	`.area{stroke:none;fill-opacity:.75}.under{stroke:none;fill-opacity:.12}.heat{fill:#d9480f}` +
	`@media (prefers-color-scheme:dark){.back{fill:#0d131b}.card{fill:#151d28;stroke:#2c3846}.text{fill:#e4eaf1}.soft{fill:#a3b1c0}.grid{stroke:#263243}.heat{fill:#ff8a4c}}`

type canvas struct {
	doc  bytes.Buffer
	data Data
}

func (c *canvas) add(format string, args ...any) { fmt.Fprintf(&c.doc, format, args...) }

type rect struct{ x, y, w, h float64 }

// text escapes what stands between tags or in an attribute.
func text(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a buffer takes everything
	return b.String()
}

// panel draws the frame, and what it is of into it.
func (c *canvas) panel(p dashboards.Panel, series []Series, box rect) {
	c.add(`<g><title>%s</title><rect class="card" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="6"/>`, text(p.Title), box.x, box.y, box.w, box.h)
	c.add(`<text class="text" x="%.1f" y="%.1f" font-size="13" font-weight="600">%s</text>`, box.x+12, box.y+22, text(p.Title))
	series = busiestFirst(series)
	inner := rect{box.x + 12, box.y + 34, box.w - 24, box.h - 44}
	switch {
	case empty(series):
		c.add(`<text class="soft" x="%.1f" y="%.1f" text-anchor="middle" font-size="13">no data</text>`, box.x+box.w/2, box.y+box.h/2)
	case p.Kind == dashboards.Number:
		c.number(p, series, inner)
	case p.Kind == dashboards.Heatmap:
		c.heatmap(p, series, inner)
	default:
		c.lines(p, series, inner)
	}
	c.add("</g>\n")
}
