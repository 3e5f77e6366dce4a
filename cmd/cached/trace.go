package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/image"
	"github.com/zonecache/cached/prefetch"
	"github.com/zonecache/cached/tiers/origin"
)

func newTraceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trace",
		Short: "List, show, exchange and remove what starts read of their images",
		Long: `List, show, exchange and remove what starts read of their images.

A daemon notes which blocks each start touches, in which order and when: no content
and no names of files. The last eight traces of a workload are kept in the origin,
and what at least half of them touch, the later ones counting more, is read ahead of
the next start, on any host. These commands look at the origin, which must be given
as for 'cached publish'.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTraceListCommand(), newTraceShowCommand(), newTraceExportCommand(), newTraceImportCommand(), newTraceRemoveCommand())
	return cmd
}

// traced is what is known of the starts of one image.
type traced struct {
	origin   *origin.Origin
	manifest *image.Manifest
	id       block.ID
	name     string // "" when the image was given by its id
}

// onTraced has cmd open the origin, and in it the image its first argument names.
func onTraced(cmd *cobra.Command, use func(args []string, t traced) error) {
	load := addConfigFlags(cmd, bindOriginFlags)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		return withOrigin(cmd.Context(), cfg, func(o *origin.Origin) error {
			catalog, err := image.NewCatalog(directOrigin{o}, image.CatalogOptions{Manifests: 1})
			if err != nil {
				return err
			}
			e, err := catalog.Open(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			t := traced{origin: o, manifest: e.Manifest, name: args[0]}
			if isID(args[0]) {
				t.name = ""
			}
			if t.id, err = e.Manifest.ID(); err != nil {
				return err
			}
			return use(args, t)
		})
	}
}

// all returns the latest traces of each workload of the image.
func (t traced) all(ctx context.Context) ([][]*prefetch.Trace, error) {
	bundles, err := t.origin.Profiles(ctx, t.id)
	if err != nil {
		return nil, err
	}
	all := make([][]*prefetch.Trace, 0, len(bundles))
	for _, id := range bundles {
		traces, err := t.bundle(ctx, id)
		if err != nil {
			return nil, err
		}
		all = append(all, traces)
	}
	return all, nil
}

// of returns the latest traces of one workload, the latest first.
func (t traced) of(ctx context.Context, workload string) ([]*prefetch.Trace, error) {
	id, err := t.origin.Profile(ctx, origin.Workload{Manifest: t.id, Name: workload})
	if errors.Is(err, block.ErrNotFound) {
		return nil, fmt.Errorf("no start of workload %q was recorded; `cached trace ls` shows those that were: %w", workload, block.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return t.bundle(ctx, id)
}

func (t traced) bundle(ctx context.Context, id block.ID) ([]*prefetch.Trace, error) {
	b, err := t.origin.ReadBlock(ctx, id)
	if err != nil {
		return nil, err
	}
	defer b.Release()
	if block.Sum(b.Bytes()) != id {
		return nil, fmt.Errorf("profile %s: %w", id, block.ErrCorrupt)
	}
	return prefetch.DecodeBundle(b.Bytes())
}

// stored returns the bytes of blocks in their stored form.
func (t traced) stored(blocks []uint32) (n uint64) {
	for _, i := range blocks {
		if int(i) < len(t.manifest.Blocks) {
			n += uint64(t.manifest.Blocks[i].Stored)
		}
	}
	return n
}

func newTraceListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ls IMAGE",
		Short:   "List the workloads of an image whose starts were recorded",
		Example: "  cached trace ls flask:v1 --origin file:///srv/images",
		Args:    cobra.ExactArgs(1),
	}
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	onTraced(cmd, func(args []string, t traced) error {
		all, err := t.all(cmd.Context())
		if err != nil {
			return err
		}
		rows := make([]tracedRow, 0, len(all))
		for _, traces := range all {
			row, err := t.row(traces)
			if err != nil {
				return err
			}
			rows = append(rows, row)
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), rows)
		}
		return printTraced(cmd.OutOrStdout(), rows)
	})
	return cmd
}

// A tracedRow is a workload's profile as scripts read it.
type tracedRow struct {
	Workload  string    `json:"workload"`
	Starts    uint32    `json:"starts"`
	Latest    time.Time `json:"latest"`
	Touched   int       `json:"touched_blocks"`
	Essential int       `json:"essential_blocks"`
	Bytes     uint64    `json:"essential_bytes"`
	Share     float64   `json:"essential_share"` // of the image's stored bytes
}

func (t traced) row(traces []*prefetch.Trace) (tracedRow, error) {
	p, err := prefetch.Merge(traces)
	if err != nil {
		return tracedRow{}, err
	}
	essential := p.Essential(prefetch.DefaultShare)
	n := t.stored(essential)
	return tracedRow{
		Workload: p.Workload, Starts: p.Starts, Latest: p.Updated, Touched: len(p.Entries), Essential: len(essential), Bytes: n,
		Share: share(n, uint64(t.manifest.StoredSize())),
	}, nil
}

func printTraced(w io.Writer, rows []tracedRow) error {
	if len(rows) == 0 {
		fmt.Fprintln(w, "no start of this image was recorded")
		return nil
	}
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "WORKLOAD\tSTARTS\tLATEST\tTOUCHED\tESSENTIAL\tBYTES\tOF THE IMAGE")
	for _, r := range rows {
		fmt.Fprintf(tw, "%s\t%d\t%s\t%d blocks\t%d blocks\t%s\t%s\n", cmp.Or(r.Workload, "(none named)"), r.Starts, humanize.Time(r.Latest),
			r.Touched, r.Essential, humanize.IBytes(r.Bytes), percent(r.Share))
	}
	return tw.Flush()
}
