package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
)

func newImagesWhereCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "where IMAGE",
		Short: "Show which hosts of the zone hold how much of what its starts need",
		Long: `Show which hosts of the zone hold how much of what starts of an image need, in
memory and on disk, those that hold most first: the best hosts to start it on.

What starts need is what at least half of the recorded starts have read: of the given
workload, or of all workloads where none is given or nothing is known of it, or all of
the image where no start was recorded.

The daemon answers from memory, without asking the others: each host tells the zone
of the images that have started or were prepared there, within seconds. AGE is how long
ago it did so. A host of which nothing is known holds at most what it holds of them for
the others; --all lists those, too. A host without a zone answers for itself.`,
		Example: `  cached images where flask:v1 --workload serve
  cached images where flask:v1 --top 3 --json | jq -r '.nodes[].node'`,
		Args: cobra.ExactArgs(1),
	}
	server := addServerFlag(cmd)
	workload := cmd.Flags().String("workload", "", "the entrypoint or function that will run, as for 'cached mount'")
	top := cmd.Flags().Uint32("top", 0, "show the first `N` hosts only")
	all := cmd.Flags().Bool("all", false, "also list hosts of which nothing is known")
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withClient(*server, func(client *api.Client) error {
			resp, err := client.GetResidency(cmd.Context(), &cachedv1.GetResidencyRequest{Image: args[0], Workload: *workload, Limit: *top, IncludeUnknown: *all})
			if err != nil {
				return err
			}
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), newWhereReport(resp))
			}
			return printWhere(cmd.OutOrStdout(), resp, *workload)
		})
	}
	return cmd
}

// A whereReport is who holds an image as scripts read it.
type whereReport struct {
	Manifest string     `json:"manifest_id"`
	Basis    string     `json:"basis"` // workload, starts, image
	Blocks   uint64     `json:"blocks"`
	Bytes    uint64     `json:"bytes"`
	Nodes    []whereRow `json:"nodes"`
	Unknown  uint64     `json:"unknown"`
	Stale    bool       `json:"stale,omitempty"`
}

type whereRow struct {
	Node    string   `json:"node"`
	Address string   `json:"address,omitempty"`
	Share   *float64 `json:"share"` // null: not known
	Age     float64  `json:"age_seconds"`
}

func newWhereReport(resp *cachedv1.GetResidencyResponse) whereReport {
	r := whereReport{resp.GetManifestId(), basisText(resp.GetBasis()), resp.GetBlocks(), resp.GetBytes(), []whereRow{}, resp.GetUnknown(), resp.GetStale()}
	for _, n := range resp.GetNodes() {
		r.Nodes = append(r.Nodes, whereRow{n.GetNode(), n.GetAddress(), n.Share, n.GetAge().AsDuration().Seconds()})
	}
	return r
}

func basisText(b cachedv1.ResidencyBasis) string {
	switch b {
	case cachedv1.ResidencyBasis_RESIDENCY_BASIS_WORKLOAD:
		return "workload"
	case cachedv1.ResidencyBasis_RESIDENCY_BASIS_STARTS:
		return "starts"
	case cachedv1.ResidencyBasis_RESIDENCY_BASIS_IMAGE:
		return "image"
	default:
		return "unknown"
	}
}

func printWhere(w io.Writer, resp *cachedv1.GetResidencyResponse, workload string) error {
	of := map[string]string{
		"workload": fmt.Sprintf("what starts of %q need", workload),
		"starts":   "what its recorded starts need",
		"image":    "all of the image, since no start of it was recorded",
	}[basisText(resp.GetBasis())]
	fmt.Fprintf(w, "%s: %d blocks, %s\n", of, resp.GetBlocks(), humanize.IBytes(resp.GetBytes()))
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "NODE\tHOLDS\tAGE\tADDRESS")
	for _, n := range resp.GetNodes() {
		holds, age := "not known", "-"
		if n.Share != nil {
			holds, age = percent(n.GetShare()), n.GetAge().AsDuration().Round(time.Second).String()
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", n.GetNode(), holds, age, n.GetAddress())
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if n := resp.GetUnknown(); n > 0 {
		fmt.Fprintf(w, "nothing is known of %d more; --all lists them\n", n)
	}
	return nil
}
