package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/zonecache/cached/agent"
	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/image"
	"github.com/zonecache/cached/tiers/origin"
)

func newImagesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "images",
		Short: "List, show and remove published images, and say which hosts hold them",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newImagesListCommand(), newImagesShowCommand(), newImagesWhereCommand(), newImagesRemoveCommand())
	return cmd
}

func newImagesListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the named images",
		Args:  cobra.NoArgs,
	}
	server := addServerFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withClient(*server, func(client *api.Client) error {
			entries, err := client.ListImages(cmd.Context())
			if err != nil {
				return err
			}
			list, err := client.ListPreparations(cmd.Context())
			if err != nil {
				return err
			}
			pins, err := client.ListPins(cmd.Context())
			if err != nil {
				return err
			}
			here := onHost{map[string]*cachedv1.Preparation{}, map[string]*cachedv1.Pin{}}
			for _, p := range list {
				here.prepared[p.GetImage()] = p
			}
			for _, p := range pins {
				here.pinned[p.GetImage()] = p
			}
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), newImageRows(entries, here))
			}
			return printImages(cmd.OutOrStdout(), entries, here)
		})
	}
	return cmd
}

// An onHost is what a host does for images, by name.
type onHost struct {
	prepared map[string]*cachedv1.Preparation
	pinned   map[string]*cachedv1.Pin
}

// A listedImage is an image as scripts read it.
type listedImage struct {
	Name     string `json:"name"`
	Manifest string `json:"manifest_id"`
	Media    string `json:"media_type"`
	Size     uint64 `json:"size"`
	Blocks   uint64 `json:"blocks"`
	Stored   uint64 `json:"stored_size"`
	Updated  string `json:"updated"`
	Problem  string `json:"problem,omitempty"`
	// Prepared is what became of preparing it on this host; absent if nobody has.
	Prepared *preparedRow `json:"prepared,omitempty"`
	// Pinned is its pin on this host; absent if it has none.
	Pinned *pinRow `json:"pinned,omitempty"`
}

func newImageRows(entries []*cachedv1.ImageEntry, here onHost) []listedImage {
	rows := make([]listedImage, len(entries))
	for i, e := range entries {
		rows[i] = listedImage{
			e.GetName(), e.GetManifestId(), e.GetMediaType(), e.GetSize(), e.GetBlocks(), e.GetStoredSize(),
			e.GetUpdated().AsTime().Format("2006-01-02T15:04:05Z07:00"), e.GetProblem(), nil, nil,
		}
		if p := here.prepared[e.GetName()]; p != nil {
			row := newPreparedRow(p)
			rows[i].Prepared = &row
		}
		if p := here.pinned[e.GetName()]; p != nil {
			row := newPinRow(p)
			rows[i].Pinned = &row
		}
	}
	return rows
}

func printImages(w io.Writer, entries []*cachedv1.ImageEntry, here onHost) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "NAME\tSIZE\tSTORED\tBLOCKS\tUPDATED\tPREPARED\tPINNED\tMANIFEST")
	for _, e := range entries {
		if e.GetProblem() != "" {
			fmt.Fprintf(tw, "%s\t-\t-\t-\t%s\t-\t-\t%s\n", e.GetName(), humanize.Time(e.GetUpdated().AsTime()), e.GetProblem())
			continue
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", e.GetName(), humanize.IBytes(e.GetSize()), humanize.IBytes(e.GetStoredSize()),
			e.GetBlocks(), humanize.Time(e.GetUpdated().AsTime()), preparedText(here.prepared[e.GetName()]), pinText(here.pinned[e.GetName()]), shortID(e.GetManifestId()))
	}
	return tw.Flush()
}

// shortID is the beginning of an id, enough for people.
func shortID(id string) string { return id[:min(len(id), len(block.IDPrefix)+12)] }

func newImagesShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show IMAGE",
		Short: "Show what an image consists of; --json lists its blocks",
		Args:  cobra.ExactArgs(1),
	}
	server := addServerFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print JSON, with the list of blocks")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withClient(*server, func(client *api.Client) error {
			resp, err := client.GetImage(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			m, err := agent.ManifestFromProto(resp.GetManifest(), resp.GetManifestId())
			if err != nil {
				return err
			}
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), newShownImage(resp.GetManifestId(), m))
			}
			return printImage(cmd.OutOrStdout(), resp.GetManifestId(), m)
		})
	}
	return cmd
}

// A shownImage is a manifest as scripts read it.
type shownImage struct {
	ID          string            `json:"manifest_id"`
	MediaType   string            `json:"media_type"`
	Size        int64             `json:"size"`
	Source      string            `json:"source"`
	Annotations map[string]string `json:"annotations"`
	Blocks      []shownBlock      `json:"blocks"`
}

type shownBlock struct {
	ID       string `json:"id"`
	Stored   uint32 `json:"stored_length"`
	Length   uint32 `json:"length"`
	Encoding string `json:"encoding"`
}

func newShownImage(id string, m *image.Manifest) shownImage {
	s := shownImage{id, m.MediaType, m.Size, m.Source, m.Annotations, make([]shownBlock, len(m.Blocks))}
	for i, b := range m.Blocks {
		s.Blocks[i] = shownBlock{b.ID.String(), b.Stored, b.Length, b.Encoding.String()}
	}
	return s
}

func printImage(w io.Writer, id string, m *image.Manifest) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(tw, "manifest\t%s\n", id)
	fmt.Fprintf(tw, "media type\t%s\n", m.MediaType)
	fmt.Fprintf(tw, "size\t%s (%d bytes)\n", humanize.IBytes(uint64(m.Size)), m.Size)
	fmt.Fprintf(tw, "stored\t%s in distinct blocks\n", humanize.IBytes(uint64(m.StoredSize())))
	fmt.Fprintf(tw, "blocks\t%d\n", len(m.Blocks))
	if m.Source != "" {
		fmt.Fprintf(tw, "source\t%s\n", m.Source)
	}
	keys := make([]string, 0, len(m.Annotations))
	for k := range m.Annotations {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		fmt.Fprintf(tw, "%s\t%s\n", k, m.Annotations[k])
	}
	return tw.Flush()
}

func newImagesRemoveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rm NAME...",
		Short: "Remove names from the origin",
		Long: `Remove names from the origin, which must be given as for 'cached publish'. Blocks and
manifests stay: other images may share them, and daemons may be reading them.`,
		Args: cobra.MinimumNArgs(1),
	}
	load := addConfigFlags(cmd, bindOriginFlags)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		return withOrigin(cmd.Context(), cfg, func(o *origin.Origin) error {
			for _, name := range args {
				if err := o.DeleteRef(cmd.Context(), name); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "removed %s\n", name)
			}
			return nil
		})
	}
	return cmd
}

// withOrigin opens the configured origin for use.
func withOrigin(ctx context.Context, cfg Config, use func(*origin.Origin) error) error {
	o, err := origin.Open(ctx, cfg.Origins, origin.Options{Logger: cfg.Log.newLogger(io.Discard)})
	if err != nil {
		return err
	}
	defer o.Close()
	return use(o)
}
