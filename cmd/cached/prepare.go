package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
)

func newPrepareCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "prepare NAME",
		Short: "Bring what starts of an image need to this host or its zone",
		Long: `Bring what starts of an image need to this host, or to the hosts of its zone that
answer for it: what its workloads have read in earlier starts, or all of it where
none was recorded. The daemon does it behind all other reads, and goes on after a
restart. A start does not wait for it; before it is ready starts are merely slower.

It is PREPARING, then READY or FAILED; 'cached images ls' shows it, too.`,
		Example: `  cached prepare flask:v1
  cached prepare flask:v1 --all --no-wait`,
		Args: cobra.ExactArgs(1),
	}
	server := addServerFlag(cmd)
	all := cmd.Flags().Bool("all", false, "all of the image, not only what starts need")
	noWait := cmd.Flags().Bool("no-wait", false, "return once it has begun")
	asJSON := cmd.Flags().Bool("json", false, "print the result as JSON and no progress")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withClient(*server, func(client *api.Client) error {
			scope := cachedv1.PreparationScope_PREPARATION_SCOPE_ESSENTIAL
			if *all {
				scope = cachedv1.PreparationScope_PREPARATION_SCOPE_ALL
			}
			p, err := client.PrepareImage(cmd.Context(), args[0], scope)
			if err != nil {
				return err
			}
			if !*noWait {
				bar := newProgress(cmd.ErrOrStderr())
				if *asJSON {
					bar = newProgress(io.Discard)
				}
				err = client.WatchPreparation(cmd.Context(), args[0], func(now *cachedv1.Preparation) {
					p = now
					bar.update("preparing "+args[0], int64(now.GetBytesDone()), int64(now.GetBytes()))
				})
				bar.finish()
				if err != nil {
					return err
				}
			}
			if *asJSON {
				err = printJSON(cmd.OutOrStdout(), newPreparedRow(p))
			} else {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, %s in %d blocks, after %v\n", p.GetImage(), preparedText(p), humanize.IBytes(p.GetBytesDone()), p.GetBlocksDone(), sinceText(p))
			}
			if p.GetState() == cachedv1.PreparationState_PREPARATION_STATE_FAILED {
				err = errors.Join(err, fmt.Errorf("%s could not be prepared: %s", p.GetImage(), p.GetProblem()))
			}
			return err
		})
	}
	return cmd
}

// A preparedRow is a preparation as scripts read it.
type preparedRow struct {
	Image      string `json:"image"`
	Manifest   string `json:"manifest_id"`
	State      string `json:"state"`
	Scope      string `json:"scope"`
	Blocks     uint64 `json:"blocks"`
	BlocksDone uint64 `json:"blocks_done"`
	Bytes      uint64 `json:"bytes"`
	BytesDone  uint64 `json:"bytes_done"`
	Problem    string `json:"problem,omitempty"`
}

func newPreparedRow(p *cachedv1.Preparation) preparedRow {
	return preparedRow{
		p.GetImage(), p.GetManifestId(), stateText(p), strings.ToLower(strings.TrimPrefix(p.GetScope().String(), "PREPARATION_SCOPE_")),
		p.GetBlocks(), p.GetBlocksDone(), p.GetBytes(), p.GetBytesDone(), p.GetProblem(),
	}
}

// stateText is PREPARING, READY or FAILED.
func stateText(p *cachedv1.Preparation) string {
	return strings.TrimPrefix(p.GetState().String(), "PREPARATION_STATE_")
}

// preparedText is the state with how far it is; "-" for an image that is not
// prepared.
func preparedText(p *cachedv1.Preparation) string {
	switch {
	case p == nil:
		return "-"
	case p.GetState() == cachedv1.PreparationState_PREPARATION_STATE_PREPARING && p.GetBytes() > 0:
		return fmt.Sprintf("%s %d %%", stateText(p), 100*p.GetBytesDone()/p.GetBytes())
	}
	return stateText(p)
}
