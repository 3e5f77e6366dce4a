package statuspage

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/zonecache/cached/block"
)

// funcs are what the template may call.
var funcs = template.FuncMap{
	"bytes":    humanize.IBytes,
	"count":    func(n uint64) string { return humanize.Comma(int64(min(n, 1<<62))) },
	"percent":  func(f float64) string { return fmt.Sprintf("%.1f %%", 100*f) },
	"ratio":    ratio,
	"width":    width,
	"latency":  latency,
	"duration": durationText,
	"instant":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"clock":    func(t time.Time) string { return t.UTC().Format("15:04:05 UTC") },
	"tier":     tierText,
	"per": func(part, whole uint64) string {
		if whole == 0 {
			return "–"
		}
		return strconv.FormatFloat(ratio(part, whole), 'f', 3, 64)
	},
	"sharesPlot": sharesPlot,
	"ratesPlot":  ratesPlot,
	"window":     windowText,
	"tierOf":     func(place int) string { return strings.ToUpper(block.Tiers[place].String()) },
	"state":      func(s State) string { return strings.ToLower(string(s)) },
}

// durationText leaves out what is zero: "2h5m", not "2h5m0s".
func durationText(d time.Duration) string {
	text := d.Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// windowText follows "the last".
func windowText(d time.Duration) string {
	if d == time.Hour {
		return "hour"
	}
	return fmt.Sprintf("%d minutes", d/time.Minute)
}

// width is a share as a length within an SVG.
func width(f float64) string {
	return strconv.FormatFloat(100*min(max(f, 0), 1), 'f', 2, 64)
}

// latency has two or three digits.
func latency(d time.Duration) string {
	switch {
	case d == 0:
		return "–"
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// tierText says what a tier is.
func tierText(name string) string {
	t, err := block.ParseTier(name)
	if err != nil {
		return name
	}
	return strings.ToUpper(name) + " " + map[block.Tier]string{
		block.Memory: "memory", block.Disk: "disk", block.Peer: "zone", block.Origin: "origin",
	}[t]
}

// A drawing is one plot with its words for those who do not see it.
type drawing struct {
	ID, Title, Text string
	Areas           []Area
}

func sharesPlot(p Plot) drawing {
	d := drawing{ID: "shares", Title: "Share of the blocks that programs read, by the tier that served them", Areas: p.Shares}
	d.Text = fmt.Sprintf("Within the last %s: %s", windowText(p.Window), eachTier(p, func(a Area) string { return fmt.Sprintf("%.1f %%", 100*a.Share) }))
	return d
}

func ratesPlot(p Plot) drawing {
	d := drawing{ID: "rates", Title: "Bytes that programs read in a second, by the tier that served them", Areas: p.Rates}
	d.Text = fmt.Sprintf("Within the last %s, altogether: %s", windowText(p.Window), eachTier(p, func(a Area) string { return humanize.IBytes(a.Bytes) }))
	return d
}

func eachTier(p Plot, text func(Area) string) string {
	if p.Reads.Blocks == 0 {
		return "programs read nothing."
	}
	var parts []string
	for _, a := range p.Shares {
		parts = append(parts, tierText(a.Tier)+" "+text(a))
	}
	return strings.Join(parts, ", ") + ". The table below the plots says when."
}
