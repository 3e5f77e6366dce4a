package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
)

func newWarmCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "warm NAME",
		Short: "Bring an image onto named hosts of the zone, or see how much of it they hold",
		Long: `Bring the blocks of an image onto named hosts of the zone, also those that other
hosts own: into their L1 and L2, whatever zone.l2-admit says. A start there then reads
nothing from elsewhere. 'cached prepare' is for a zone as a whole: it brings each
block to the one host that owns it.

The daemon that is asked tells the others, by the peers' port. Without --nodes it is
itself the host. What is wanted is what starts of the image's workloads have read, or
all of it where none was recorded, or with --all. It stays until other blocks need
the room; 'cached pin' keeps it.

--check fetches nothing, and ends with status 1 when a host lacks a block or does not
answer.`,
		Example: `  cached warm flask:v1 --nodes host-a,host-b
  cached warm flask:v1 --nodes all --all
  cached warm flask:v1 --nodes all --check`,
		Args: cobra.ExactArgs(1),
	}
	server := addServerFlag(cmd)
	nodes := cmd.Flags().StringSlice("nodes", nil, "`NAMES` of the hosts, with commas between, or all (default: the one that is asked)")
	scope := addScopeFlags(cmd, "bring")
	check := cmd.Flags().Bool("check", false, "fetch nothing, only report what the hosts hold")
	asJSON := cmd.Flags().Bool("json", false, "print the result as JSON and no progress")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withClient(*server, func(client *api.Client) error {
			req := &cachedv1.WarmImageRequest{Image: args[0], Scope: scope(), Nodes: *nodes, Check: *check}
			board := newNodeBoard(cmd.ErrOrStderr())
			if *asJSON || *check {
				board = newNodeBoard(io.Discard)
			}
			latest := map[string]*cachedv1.NodeWarmth{}
			err := client.WarmImage(cmd.Context(), req, func(n *cachedv1.NodeWarmth) {
				latest[n.GetNode()] = n
				board.show(newWarmRows(latest))
			})
			board.clear()
			if err != nil {
				return err
			}
			rows := newWarmRows(latest)
			if *asJSON {
				err = printJSON(cmd.OutOrStdout(), rows)
			} else {
				err = printWarmRows(cmd.OutOrStdout(), rows)
			}
			return errors.Join(err, warmProblem(args[0], rows))
		})
	}
	return cmd
}

// addScopeFlags gives cmd the flags that say how much of an image is meant.
func addScopeFlags(cmd *cobra.Command, verb string) func() cachedv1.PreparationScope {
	essential := cmd.Flags().Bool("essential", false, verb+" what starts have read, or all where none was recorded (the default)")
	all := cmd.Flags().Bool("all", false, verb+" all of the image")
	cmd.MarkFlagsMutuallyExclusive("essential", "all")
	return func() cachedv1.PreparationScope {
		if *all && !*essential {
			return cachedv1.PreparationScope_PREPARATION_SCOPE_ALL
		}
		return cachedv1.PreparationScope_PREPARATION_SCOPE_ESSENTIAL
	}
}

// A warmRow is how much a node holds, as people and scripts read it.
type warmRow struct {
	Node       string `json:"node"`
	State      string `json:"state"`
	Blocks     uint64 `json:"blocks"`
	BlocksHeld uint64 `json:"blocks_held"`
	Bytes      uint64 `json:"bytes"`
	BytesHeld  uint64 `json:"bytes_held"`
	Problem    string `json:"problem,omitempty"`
}

func newWarmRows(nodes map[string]*cachedv1.NodeWarmth) []warmRow {
	rows := make([]warmRow, 0, len(nodes))
	for _, n := range nodes {
		rows = append(rows, warmRow{
			n.GetNode(), strings.TrimPrefix(n.GetState().String(), "WARM_STATE_"),
			n.GetBlocks(), n.GetBlocksHeld(), n.GetBytes(), n.GetBytesHeld(), n.GetProblem(),
		})
	}
	slices.SortFunc(rows, func(a, b warmRow) int { return cmp.Compare(a.Node, b.Node) })
	return rows
}

func printWarmRows(w io.Writer, rows []warmRow) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "NODE\tSTATE\tBLOCKS\tHELD\tBYTES\tHELD\tPROBLEM")
	for _, r := range rows {
		fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%s\t%s\t%s\n", r.Node, r.State, r.Blocks, r.BlocksHeld, bytesText(int64(r.Bytes)), bytesText(int64(r.BytesHeld)), r.Problem)
	}
	return tw.Flush()
}

// warmProblem names the nodes that lack something, and those that failed.
func warmProblem(image string, rows []warmRow) error {
	var lacking, failed []string
	for _, r := range rows {
		switch {
		case r.State != "DONE":
			failed = append(failed, r.Node)
		case r.BlocksHeld < r.Blocks:
			lacking = append(lacking, r.Node)
		}
	}
	var errs []error
	if len(lacking) > 0 {
		errs = append(errs, fmt.Errorf("%s is not all on %s", image, strings.Join(lacking, ", ")))
	}
	if len(failed) > 0 {
		errs = append(errs, fmt.Errorf("%s failed or did not answer", strings.Join(failed, ", ")))
	}
	if len(errs) == 2 {
		return fmt.Errorf("%w; %w", errs[0], errs[1])
	}
	return errors.Join(errs...)
}
