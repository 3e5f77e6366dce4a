package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
)

func printJSON(out io.Writer, outcomes []outcome) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(outcomes)
}

func printTable(out io.Writer, outcomes []outcome) error {
	last := ""
	tw := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	for _, c := range outcomes {
		r := c.Result
		if c.Scenario != last {
			if last != "" {
				if err := tw.Flush(); err != nil {
					return err
				}
				fmt.Fprintln(out)
			}
			last = c.Scenario
			fmt.Fprintf(out, "%s: %s\n", c.Scenario, c.About)
			fmt.Fprintf(out, "reachable %s (bound %s, %d hosts)", duration(r.Reachable), duration(r.Bound), r.Readers)
			if c.Theirs != "" {
				fmt.Fprintf(out, "; published: %s", c.Theirs)
			}
			fmt.Fprintln(out)
			fmt.Fprintln(tw, "protocol\tp50\tp99\tp99.9\tmax\tby reachable p50\tp99\tmax\tfirst p50\tp99\treads\tbytes\tmsgs\ttook\t")
		}
		by := r.Time.Over(r.Reachable)
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%.3f\t%.3f\t%.3f\t%s\t%s\t%.3f\t%.3f\t%.1f\t%s\t\n", r.Protocol,
			duration(r.Time.P50), duration(r.Time.P99), duration(r.Time.P999), duration(r.Time.Max), by.P50, by.P99, by.Max,
			duration(r.First.P50), duration(r.First.P99), r.ReadsPerBlock, r.BytesPerByte, r.MessagesPerBlock, duration(r.Took))
	}
	return tw.Flush()
}
