package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
)

func newPurgeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "purge NAME",
		Short: "Drop an image's blocks from this host's memory and disk cache",
		Long: `Drop the blocks of an image from this host's L1 and L2. Blocks stay that another
image holds, too: one that is pinned, one that a session has open, or one whose name
this host has seen. What stays, and for which image, is printed.

Nothing changes at the origin or on other hosts: whoever opens the image afterwards
reads it anew. 'cached images rm' removes a name from the origin.

It refuses while the image is pinned or open here. --force does it all the same, and
takes the pin away; programs in a mount of the image go on, and read anew what their
kernel does not hold.`,
		Example: `  cached purge flask:v1
  cached purge flask:v1 --force --json`,
		Args: cobra.ExactArgs(1),
	}
	server := addServerFlag(cmd)
	force := cmd.Flags().Bool("force", false, "purge it though it is pinned or open; it is unpinned then")
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withClient(*server, func(client *api.Client) error {
			resp, err := client.PurgeImage(cmd.Context(), &cachedv1.PurgeImageRequest{Image: args[0], Force: *force})
			if err != nil {
				return err
			}
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), newPurgedRow(args[0], resp))
			}
			if _, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: dropped %d blocks, %s\n", args[0], resp.GetBlocks(), bytesText(int64(resp.GetBytes()))); err != nil {
				return err
			}
			for _, k := range resp.GetKept() {
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "  kept %d blocks, %s, of %s, which is %s\n",
					k.GetBlocks(), bytesText(int64(k.GetBytes())), k.GetImage(), k.GetReason()); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return cmd
}

// A purgedRow is what a purge did, as scripts read it.
type purgedRow struct {
	Image    string      `json:"image"`
	Manifest string      `json:"manifest_id"`
	Blocks   uint64      `json:"blocks"`
	Bytes    uint64      `json:"bytes"`
	Kept     []purgeKept `json:"kept"`
}

type purgeKept struct {
	Image  string `json:"image"`
	Reason string `json:"reason"`
	Blocks uint64 `json:"blocks"`
	Bytes  uint64 `json:"bytes"`
}

func newPurgedRow(image string, r *cachedv1.PurgeImageResponse) purgedRow {
	row := purgedRow{image, r.GetManifestId(), r.GetBlocks(), r.GetBytes(), []purgeKept{}}
	for _, k := range r.GetKept() {
		row.Kept = append(row.Kept, purgeKept{k.GetImage(), k.GetReason(), k.GetBlocks(), k.GetBytes()})
	}
	return row
}
