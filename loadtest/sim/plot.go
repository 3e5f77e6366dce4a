package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
)

// The picture has a panel for each scenario: the share of the hosts that have the
// whole image, over the time since their start, for each protocol; the dashed line
// is the least time that is reachable.
const (
	panelWidth, panelHeight = 860, 300
	plotLeft, plotRight     = 60, 230
	plotTop, plotBottom     = 50, 40
)

var colours = []string{"#0b7285", "#66a80f", "#e8590c", "#c2255c", "#5f3dc4", "#1864ab", "#868e96", "#212529"}

func plot(outcomes []outcome) []byte {
	var panels [][]outcome
	for _, c := range outcomes {
		if n := len(panels); n > 0 && panels[n-1][0].Scenario == c.Scenario {
			panels[n-1] = append(panels[n-1], c)
			continue
		}
		panels = append(panels, []outcome{c})
	}
	var svg bytes.Buffer
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n",
		panelWidth, panelHeight*len(panels))
	svg.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	for i, panel := range panels {
		fmt.Fprintf(&svg, `<g transform="translate(0,%d)">`+"\n", i*panelHeight)
		drawPanel(&svg, panel)
		svg.WriteString("</g>\n")
	}
	svg.WriteString("</svg>\n")
	return svg.Bytes()
}

func drawPanel(svg *bytes.Buffer, panel []outcome) {
	least, most := math.Inf(1), 0.0
	for _, c := range panel {
		for _, t := range c.Result.Times {
			least, most = min(least, t), max(most, t)
		}
	}
	reachable := panel[0].Result.Reachable
	least, most = min(least, reachable)*.9, max(most, reachable)*1.1
	x := func(t float64) float64 {
		return plotLeft + (panelWidth-plotLeft-plotRight)*math.Log(t/least)/math.Log(most/least)
	}
	y := func(share float64) float64 { return plotTop + (panelHeight-plotTop-plotBottom)*(1-share) }
	line := func(x1, y1, x2, y2 float64, style string) {
		fmt.Fprintf(svg, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" %s/>`+"\n", x1, y1, x2, y2, style)
	}
	text := func(x, y float64, anchor, s string) {
		fmt.Fprintf(svg, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", x, y, anchor, html.EscapeString(s))
	}
	const grid = `stroke="#dee2e6"`
	text(plotLeft, 20, "start", panel[0].Scenario+": "+panel[0].About)
	for _, share := range []float64{0, .5, .99} {
		line(plotLeft, y(share), panelWidth-plotRight, y(share), grid)
		text(plotLeft-6, y(share)+4, "end", fmt.Sprintf("%.0f %%", share*100))
	}
	for decade := math.Pow(10, math.Floor(math.Log10(least))); decade < most; decade *= 10 {
		for _, step := range []float64{1, 2, 5} {
			if t := decade * step; t > least && t < most {
				line(x(t), y(1), x(t), y(0), grid)
				text(x(t), y(0)+18, "middle", fmt.Sprintf("%g s", t))
			}
		}
	}
	line(x(reachable), y(1), x(reachable), y(0), `stroke="black" stroke-dasharray="4 3"`)
	text(x(reachable), y(1)-6, "middle", "reachable")
	for i, c := range panel {
		colour := colours[i%len(colours)]
		fmt.Fprintf(svg, `<polyline fill="none" stroke="%s" stroke-width="2" points="`, colour)
		times := c.Result.Times
		for k := range times {
			if every := len(times)/200 + 1; k%every == 0 || k == len(times)-1 {
				fmt.Fprintf(svg, "%.1f,%.1f ", x(times[k]), y(float64(k+1)/float64(len(times))))
			}
		}
		svg.WriteString(`"/>` + "\n")
		row := y(1) + float64(i)*20
		line(panelWidth-plotRight+16, row, panelWidth-plotRight+36, row, fmt.Sprintf(`stroke="%s" stroke-width="3"`, colour))
		text(panelWidth-plotRight+42, row+4, "start", fmt.Sprintf("%s: %s, last %s", c.Result.Protocol, duration(c.Result.Time.P50), duration(c.Result.Time.Max)))
	}
}
