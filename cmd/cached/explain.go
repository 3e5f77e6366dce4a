package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
)

func newExplainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain IMAGE",
		Short: "Show which tier served which share of an image, and why",
		Long: `Show from where this host's daemon served an image since it began: its memory (l1), its
disk (l2), the zone (l3) or the object store (l4), for programs and ahead of them; where the
blocks are now that starts need, and why those that are not here are not: evicted, not admitted
because another node owns them, or never read; who holds most; and what follows from that for
the next start. Reads are counted by the name they were made under.`,
		Example: "  cached explain flask:v1 --workload serve",
		Args:    cobra.ExactArgs(1),
	}
	server := addServerFlag(cmd)
	workload := cmd.Flags().String("workload", "", "the entrypoint or function, as for 'cached mount'")
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withClient(*server, func(client *api.Client) error {
			e, err := explain(cmd.Context(), client, args[0], *workload)
			if err != nil {
				return err
			}
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), e)
			}
			return e.print(cmd.OutOrStdout())
		})
	}
	return cmd
}

// An explanation is what is known of an image on one host.
type explanation struct {
	Image string         `json:"image"`
	Rows  []explainedRow `json:"served"`
	// Places are where the blocks are that starts need; of many blocks a sample.
	Places []explainedPlace `json:"places"`
	Looked uint64           `json:"looked_at"`
	Where  whereReport      `json:"where"`
	Here   *float64         `json:"here"` // what this host holds of it; null: not known
	Why    []string         `json:"why"`
}

// An explainedRow is what one tier has served.
type explainedRow struct {
	Tier        string  `json:"tier"`
	Blocks      uint64  `json:"blocks"` // for programs
	Bytes       uint64  `json:"bytes"`
	Share       float64 `json:"share"` // of the bytes for programs
	AheadBlocks uint64  `json:"ahead_blocks"`
	AheadBytes  uint64  `json:"ahead_bytes"`
}

func explain(ctx context.Context, client *api.Client, image, workload string) (*explanation, error) {
	ledger, err := client.Ledger(ctx)
	if err != nil {
		return nil, err
	}
	status, err := client.Status(ctx)
	if err != nil {
		return nil, err
	}
	where, err := client.GetResidency(ctx, &cachedv1.GetResidencyRequest{Image: image, Workload: workload})
	if err != nil {
		return nil, err
	}
	places, err := client.Explain(ctx, &cachedv1.ExplainImageRequest{Image: image, Workload: workload})
	if err != nil {
		return nil, err
	}
	e := &explanation{Image: image, Where: newWhereReport(where), Places: newPlaces(places, image), Looked: places.GetLooked(), Why: []string{}}
	e.count(ledger)
	self := status.GetZone().GetNode()
	for i, n := range e.Where.Nodes {
		if n.Node == self || self == "" && i == 0 {
			e.Here = n.Share
		}
	}
	e.reason(ledger.GetPrefetch(), workload)
	return e, nil
}

// count takes over what was served under the image's name.
func (e *explanation) count(l *cachedv1.Ledger) {
	for _, t := range block.Tiers {
		e.Rows = append(e.Rows, explainedRow{Tier: t.String()})
	}
	rows := map[cachedv1.Tier]*explainedRow{}
	for i := range e.Rows {
		rows[cachedv1.Tier(i+1)] = &e.Rows[i] // in the same order
	}
	total := uint64(0)
	for _, img := range l.GetImages() {
		if img.GetImage() != e.Image {
			continue
		}
		for _, s := range img.GetServed() {
			row := rows[s.GetTier()]
			if row == nil {
				continue
			}
			if s.GetCause() == cachedv1.Cause_CAUSE_DEMAND {
				row.Blocks += s.GetCount().GetBlocks()
				row.Bytes += s.GetCount().GetBytes()
				total += s.GetCount().GetBytes()
			} else {
				row.AheadBlocks += s.GetCount().GetBlocks()
				row.AheadBytes += s.GetCount().GetBytes()
			}
		}
	}
	for i := range e.Rows {
		if total > 0 {
			e.Rows[i].Share = float64(e.Rows[i].Bytes) / float64(total)
		}
	}
}

// What counts as nearly all, and as nearly nothing.
const nearly, hardly = 0.95, 0.05

// reason says what follows.
func (e *explanation) reason(p *cachedv1.PrefetchLedger, workload string) {
	say := func(format string, args ...any) { e.Why = append(e.Why, fmt.Sprintf(format, args...)) }
	read, ahead := uint64(0), uint64(0)
	for _, r := range e.Rows {
		read += r.Blocks
		ahead += r.AheadBlocks
	}
	if read+ahead == 0 {
		say("no program of this host has read it under this name since the daemon began")
	}
	if e.Where.Basis == "image" {
		say("no start of it was recorded: the next one reads on demand, and is recorded (agents give --workload and say when the program is ready)")
	}
	best := ""
	if len(e.Where.Nodes) > 0 && e.Where.Nodes[0].Share != nil && *e.Where.Nodes[0].Share >= nearly {
		best = e.Where.Nodes[0].Node
	}
	switch {
	case e.Here == nil:
	case *e.Here >= nearly:
		say("this host holds what starts need: the next start reads its memory and disk")
	case best != "":
		say("%s holds what starts need, this host %s of it: the next start here reads its zone", best, percent(*e.Here))
	case *e.Here <= hardly:
		say("nobody is known to hold what starts need: the next start in this zone reads the object store once for each block (`cached prepare %s` does so now)", e.Image)
	default:
		say("this host holds %s of what starts need", percent(*e.Here))
	}
	if n := e.Rows[len(e.Rows)-1]; n.Share > 1-nearly && read > 0 {
		say("%s of the bytes came from the object store: first reads in this zone, or blocks that no tier has kept", percent(n.Share))
	}
	for _, w := range p.GetWorkloads() {
		if w.GetImage() != e.Image || workload != "" && w.GetWorkload() != workload {
			continue
		}
		switch {
		case w.GetOff() && w.GetWorkload() == "":
			say("starts that name no workload are not read ahead of for a while: they read different things; name what each runs (--workload)")
			continue
		case w.GetOff():
			say("reading ahead of %q is off for a while: too much of it was not used", w.GetWorkload())
			continue
		}
		say("of what the last start of %q read, %s was read ahead; of what was read ahead, %s was used", w.GetWorkload(), percent(w.GetRecall()), percent(w.GetPrecision()))
	}
}

func (e *explanation) print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "TIER\tSERVED PROGRAMS\tSHARE\tREAD AHEAD")
	for _, r := range e.Rows {
		fmt.Fprintf(tw, "%s\t%d blocks, %s\t%s\t%d blocks, %s\n", r.Tier, r.Blocks, humanize.IBytes(r.Bytes), percent(r.Share), r.AheadBlocks, humanize.IBytes(r.AheadBytes))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nwhat starts need, %d blocks looked for:\n", e.Looked)
	fmt.Fprintln(tw, "STATE\tBLOCKS\tSHARE\tWHY")
	for _, p := range e.Places {
		fmt.Fprintf(tw, "%s\t%d, %s\t%s\t%s\n", p.State, p.Blocks, humanize.IBytes(p.Bytes), percent(p.Share), p.Why)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, strings.Join(append([]string{""}, e.Why...), "\n"))
	return err
}
