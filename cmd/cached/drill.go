package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
)

func newDrillCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drill --empty",
		Short: "Have the zone's caches seem empty under its load, and see how it recovers",
		Long: `See what the loss of all caches would do, without losing any: the nodes answer as if
their L1 and L2 had been emptied, while programs go on reading. Blocks that are read
again count as there again. Nothing is deleted or written twice; when the drill ends,
also by Ctrl-C or because this command or a daemon dies, all is as it was.

The hit rate is the share of the programs' reads that caused no read of the origin, be
it ahead of them. It is measured for --before, then the caches seem empty until it is back at --recovered of
that, at most for --for. Programs feel it: reads are as slow as the origin is for a
while. The origin feels at most limits.origin-reads reads at once from each node.

Ends with status 1 when the hit rate is not back in time, a read failed, a node did not
take part to the end, or nobody read anything.`,
		Example: `  cached drill --empty
  cached drill --empty --nodes host-a,host-b --for 10m --json`,
		Args: cobra.NoArgs,
	}
	server := addServerFlag(cmd)
	empty := cmd.Flags().Bool("empty", false, "the drill: caches seem empty (there is no other so far)")
	nodes := cmd.Flags().StringSlice("nodes", []string{api.AllNodes}, "`NAMES` of the nodes, with commas between, or all")
	before := cmd.Flags().Duration("before", 10*time.Second, "how long to measure the hit rate first")
	long := cmd.Flags().Duration("for", 5*time.Minute, "how long the caches seem empty at most")
	share := cmd.Flags().Float64("recovered", 0.95, "`SHARE` of the hit rate before at which the zone has recovered")
	asJSON := cmd.Flags().Bool("json", false, "print the report with a sample for each second as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case !*empty:
			return errors.New("say which drill: cached drill --empty")
		case *share <= 0 || *share > 1:
			return fmt.Errorf("--recovered %v: want a share of the hit rate before, more than 0 and at most 1", *share)
		case *before < 2*time.Second:
			return fmt.Errorf("--before %v: want at least 2s, or there is nothing to compare with", *before)
		}
		return withClient(*server, func(client *api.Client) error {
			req := &cachedv1.DrillZoneRequest{Nodes: *nodes, Before: durationpb.New(*before), Empty: durationpb.New(*long)}
			board := io.Discard
			if !*asJSON {
				board = cmd.OutOrStdout()
			}
			report, err := runDrill(cmd.Context(), client, req, *share, newDrillBoard(board))
			if err != nil {
				return err
			}
			if *asJSON {
				err = printJSON(cmd.OutOrStdout(), report)
			} else {
				err = report.print(cmd.OutOrStdout())
			}
			return errors.Join(err, report.problem())
		})
	}
	return cmd
}

// runDrill begins a drill, takes a sample every second, and ends it once the zone has
// recovered.
func runDrill(ctx context.Context, client *api.Client, req *cachedv1.DrillZoneRequest, share float64, board drillBoard) (*drillReport, error) {
	drill, end := context.WithCancel(ctx)
	defer end()
	told := make(chan *cachedv1.NodeDrill)
	ended := make(chan error, 1)
	go func() {
		ended <- client.DrillZone(drill, req, func(n *cachedv1.NodeDrill) {
			select {
			case told <- n:
			case <-drill.Done():
			}
		})
	}()
	report := newDrillReport(share)
	ticks := time.NewTicker(time.Second)
	defer ticks.Stop()
	for {
		select {
		case n := <-told:
			report.hear(n)
		case <-ticks.C:
			if s, ok := report.sample(); ok {
				board.show(s)
			}
			if report.Recovered {
				end() // and wait until the daemon has heard it
			}
		case err := <-ended:
			if ctx.Err() == nil && report.Recovered {
				err = nil // by this end
			}
			if err == nil || ctx.Err() != nil {
				err = ctx.Err()
			}
			return report, err
		}
	}
}

// A drillBoard shows a line for each second.
type drillBoard struct {
	w    io.Writer
	live bool // a terminal
}

func newDrillBoard(w io.Writer) drillBoard {
	f, ok := w.(*os.File)
	return drillBoard{w, ok && term.IsTerminal(int(f.Fd()))}
}

func (b drillBoard) show(s drillSample) {
	what := "before"
	if s.Empty {
		what = "empty"
	}
	bar := ""
	if b.live {
		full := int(s.HitRate * barWidth)
		bar = "[" + strings.Repeat("=", full) + strings.Repeat(" ", barWidth-full) + "] "
	}
	fmt.Fprintf(b.w, "%4.0fs %-6s hit rate %5.1f %% %sreads %.0f/s, of the origin %.0f/s, %s/s, %d in progress, failed %d\n",
		s.Seconds, what, 100*s.HitRate, bar, s.Reads, s.OriginReads, bytesText(int64(s.OriginBytes)), s.OriginInFlight, s.Failed)
}
