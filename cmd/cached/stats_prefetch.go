package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/dustin/go-humanize"

	"github.com/zonecache/cached/api/cachedv1"
)

// An aheadRow is what came of reading ahead, as people and scripts read it.
type aheadRow struct {
	Used      aheadCount    `json:"used"`
	Late      aheadCount    `json:"late"`
	Wasted    aheadCount    `json:"wasted"`
	Pending   aheadCount    `json:"pending"`
	Missed    uint64        `json:"missed_blocks"`
	Workloads []workloadRow `json:"workloads"`
}

type aheadCount struct {
	Blocks uint64 `json:"blocks"`
	Bytes  uint64 `json:"bytes"`
}

type workloadRow struct {
	Image     string  `json:"image"`
	Workload  string  `json:"workload"`
	Starts    uint64  `json:"starts"`
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	Off       bool    `json:"off"`
}

func newAheadRow(p *cachedv1.PrefetchLedger) aheadRow {
	count := func(c *cachedv1.Count) aheadCount { return aheadCount{c.GetBlocks(), c.GetBytes()} }
	r := aheadRow{
		Used: count(p.GetUsed()), Late: count(p.GetLate()), Wasted: count(p.GetWasted()), Pending: count(p.GetPending()),
		Missed: p.GetMissed(), Workloads: []workloadRow{},
	}
	for _, w := range p.GetWorkloads() {
		r.Workloads = append(r.Workloads, workloadRow{w.GetImage(), w.GetWorkload(), w.GetStarts(), w.GetPrecision(), w.GetRecall(), w.GetOff()})
	}
	slices.SortFunc(r.Workloads, func(a, b workloadRow) int {
		return cmp.Or(cmp.Compare(a.Image, b.Image), cmp.Compare(a.Workload, b.Workload))
	})
	return r
}

// print says nothing where nothing was read ahead.
func (r aheadRow) print(w io.Writer) error {
	if r.Used.Blocks+r.Late.Blocks+r.Wasted.Blocks+r.Pending.Blocks+r.Missed == 0 {
		return nil
	}
	fmt.Fprintf(w, "read ahead                        used %s, late %s, wasted %s, pending %s\n",
		humanize.IBytes(r.Used.Bytes), humanize.IBytes(r.Late.Bytes), humanize.IBytes(r.Wasted.Bytes), humanize.IBytes(r.Pending.Bytes))
	if len(r.Workloads) == 0 {
		return nil
	}
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "\nIMAGE\tWORKLOAD\tSTARTS\tPRECISION\tRECALL\t")
	for _, row := range r.Workloads {
		off := ""
		if row.Off {
			off = "off for a while: too much was wasted"
		}
		fmt.Fprintf(tw, "%s\t%s\t%d\t%s\t%s\t%s\n", row.Image, cmp.Or(row.Workload, "(none named)"), row.Starts, percent(row.Precision), percent(row.Recall), off)
	}
	return tw.Flush()
}
