package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
)

// The picture has a panel for each trace: hits by reads over the size of the cache.
const (
	panelWidth, panelHeight = 760, 300
	plotLeft, plotRight     = 60, 130
	plotTop, plotBottom     = 40, 40
)

var colours = map[string]string{
	"LRU": "#868e96", "2Q": "#66a80f", "S3-FIFO": "#1864ab", "W-TinyLFU": "#5f3dc4", "L1": "#e8590c", "L2": "#c2255c", "Belady": "#212529", "all": "#adb5bd",
}

func plot(list []*comparison) []byte {
	var svg bytes.Buffer
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n",
		panelWidth, panelHeight*max(1, len(list)))
	svg.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	for i, c := range list {
		fmt.Fprintf(&svg, `<g transform="translate(0,%d)">`+"\n", i*panelHeight)
		c.draw(&svg)
		svg.WriteString("</g>\n")
	}
	svg.WriteString("</svg>\n")
	return svg.Bytes()
}

func (c *comparison) draw(svg *bytes.Buffer) {
	least, most := math.Inf(1), 0.0
	for _, percent := range c.sizes {
		least, most = min(least, percent), max(most, percent)
	}
	x := func(percent float64) float64 {
		if least == most {
			return plotLeft
		}
		return plotLeft + (panelWidth-plotLeft-plotRight)*math.Log(percent/least)/math.Log(most/least)
	}
	y := func(share float64) float64 { return plotTop + (panelHeight-plotTop-plotBottom)*(1-share) }
	text := func(x, y float64, anchor, s string) {
		fmt.Fprintf(svg, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", x, y, anchor, html.EscapeString(s))
	}
	text(plotLeft, 20, "start", c.Trace+": hits by reads, by size in per cent of the distinct bytes")
	for share := 0.0; share <= 1; share += 0.25 {
		fmt.Fprintf(svg, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#dee2e6"/>`+"\n", plotLeft, y(share), panelWidth-plotRight, y(share))
		text(plotLeft-6, y(share)+4, "end", fmt.Sprintf("%.0f %%", 100*share))
	}
	for _, percent := range c.sizes {
		text(x(percent), y(0)+18, "middle", fmt.Sprintf("%g %%", percent))
	}
	for i, name := range c.policies {
		fmt.Fprintf(svg, `<polyline fill="none" stroke="%s" stroke-width="2" points="`, colours[name])
		for _, r := range c.Rates {
			switch {
			case r.Policy != name:
			case r.Percent == 0:
				fmt.Fprintf(svg, "%.1f,%.1f %.1f,%.1f ", x(least), y(r.Hits), x(most), y(r.Hits))
			default:
				fmt.Fprintf(svg, "%.1f,%.1f ", x(r.Percent), y(r.Hits))
			}
		}
		svg.WriteString(`"/>` + "\n")
		row := y(1) + float64(i)*18
		fmt.Fprintf(svg, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="%s" stroke-width="3"/>`+"\n", panelWidth-plotRight+14, row, panelWidth-plotRight+34, row, colours[name])
		text(panelWidth-plotRight+40, row+4, "start", name)
	}
}
