package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/zonecache/cached/loadtest/hitrate/day"
)

// markdown writes a comparison as a table that pages and people can read.
func (c *comparison) markdown(out io.Writer) error {
	rows := [][]string{{"policy"}}
	for _, percent := range c.sizes {
		rows[0] = append(rows[0], fmt.Sprintf("%g %%", percent))
	}
	for _, name := range c.policies {
		row := []string{name}
		for _, percent := range c.sizes {
			cell := "-"
			for _, r := range c.Rates {
				if r.Policy == name && (r.Percent == percent || r.Percent == 0) {
					cell = fmt.Sprintf("%.1f / %.1f", 100*r.Hits, 100*r.Bytes)
				}
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	_, err := fmt.Fprintf(out, "%s: %s; %d reads of %d blocks of %d MB\n\n%s\n", c.Trace, c.About, c.Reads, c.Distinct, c.Bytes/1e6, grid(rows))
	return err
}

// A labelled is a day with what is special about it.
type labelled struct {
	label  string
	result *day.Result
}

// days writes simulated days as a table.
func days(out io.Writer, list []labelled) error {
	rows := [][]string{{"zone", "x disks", "reads", "per block", "L1", "L2", "L3", "origin", "new", "zone hit rate, bytes", "L2 writes / read bytes"}}
	for _, l := range list {
		r := l.result
		for _, part := range []struct {
			label  string
			counts day.Counts
		}{{l.label, r.Day}, {"its first day, from empty", r.Warm}} {
			c := part.counts
			if c.Reads == 0 || part.counts == r.Warm && !l.first() {
				continue
			}
			rows = append(rows, []string{
				part.label, fmt.Sprintf("%.1f", r.ZoneL2()), fmt.Sprintf("%.1f M", float64(c.Reads)/1e6), fmt.Sprintf("%.0f", c.PerDistinct()),
				percent(c.Share(c.L1), 1), percent(c.Share(c.L2), 1), percent(c.Share(c.L3), 1),
				percent(c.OriginShare(), 4), percent(c.NewShare(), 4), percent(c.HitRate(), 3), fmt.Sprintf("%.4f", float64(c.Written)/float64(c.Bytes)),
			})
		}
	}
	_, err := fmt.Fprintln(out, grid(rows))
	return err
}

// first reports whether the day before is shown, too.
func (l labelled) first() bool { return l.label == theZone || l.label == "this zone" }

func percent(share float64, digits int) string { return fmt.Sprintf("%.*f %%", digits, 100*share) }

// grid is rows as a table of Markdown whose columns stand below each other.
func grid(rows [][]string) string {
	var width []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		for i, cell := range row {
			fmt.Fprintf(&b, "| %-*s ", width[i], cell)
		}
		b.WriteString("|\n")
		if n == 0 {
			for _, w := range width {
				b.WriteString("|" + strings.Repeat("-", w+2))
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}
