package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

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
	until := addWaitFlag(cmd, "return once it has begun")
	asJSON := cmd.Flags().Bool("json", false, "print the result as JSON and no progress")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withClient(*server, func(client *api.Client) error {
			scope := cachedv1.PreparationScope_PREPARATION_SCOPE_ESSENTIAL
			if *all {
				scope = cachedv1.PreparationScope_PREPARATION_SCOPE_ALL
			}
			bar := newProgress(cmd.ErrOrStderr())
			if *asJSON {
				bar = newProgress(io.Discard)
			}
			p, err := prepareImage(cmd.Context(), client, args[0], scope, until(), bar)
			if err != nil {
				return err
			}
			if *asJSON {
				err = printJSON(cmd.OutOrStdout(), newPreparedRow(p))
			} else {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, %s in %d blocks, after %v\n", p.GetImage(), preparedText(p), humanize.IBytes(p.GetBytesDone()), p.GetBlocksDone(), sinceText(p))
			}
			return errors.Join(err, preparationProblem(p))
		})
	}
	return cmd
}

// A waiting says whether a command waits for what it has begun.
type waiting int

const (
	untilDone waiting = iota
	untilBegun
)

// addWaitFlag gives cmd --no-wait.
func addWaitFlag(cmd *cobra.Command, usage string) func() waiting {
	noWait := cmd.Flags().Bool("no-wait", false, usage)
	return func() waiting {
		if *noWait {
			return untilBegun
		}
		return untilDone
	}
}

// prepareImage has an image prepared, and shows how far that is.
func prepareImage(ctx context.Context, client *api.Client, image string, scope cachedv1.PreparationScope, until waiting, bar *progress) (*cachedv1.Preparation, error) {
	p, err := client.PrepareImage(ctx, image, scope)
	if err != nil || until == untilBegun {
		return p, err
	}
	err = client.WatchPreparation(ctx, image, func(now *cachedv1.Preparation) {
		p = now
		bar.update("preparing "+image, int64(now.GetBytesDone()), int64(now.GetBytes()))
	})
	bar.finish()
	return p, err
}

// preparationProblem says why a preparation has failed.
func preparationProblem(p *cachedv1.Preparation) error {
	if p.GetState() == cachedv1.PreparationState_PREPARATION_STATE_FAILED {
		return fmt.Errorf("%s could not be prepared: %s", p.GetImage(), p.GetProblem())
	}
	return nil
}

// seenWithin is how long a daemon may take to see that a name has moved: it believes
// what it last heard for two seconds.
const seenWithin = 15 * time.Second

// preparePublished has a daemon prepare what was just published. The error says that
// the image is published all the same.
func preparePublished(ctx context.Context, server target, image published, until waiting, bar *progress) (row *preparedRow, err error) {
	err = withClient(server, func(client *api.Client) error {
		seeing, cancel := context.WithTimeout(ctx, seenWithin)
		defer cancel()
		if err := client.WaitForImage(seeing, image.Name, image.Manifest); err != nil {
			return err
		}
		p, err := prepareImage(ctx, client, image.Name, cachedv1.PreparationScope_PREPARATION_SCOPE_ESSENTIAL, until, bar)
		if err != nil {
			return err
		}
		prepared := newPreparedRow(p)
		row = &prepared
		return preparationProblem(p)
	})
	if err != nil {
		return row, fmt.Errorf("%s is published, but not prepared: %w", image.Name, err)
	}
	return row, nil
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
		p.GetImage(), p.GetManifestId(), stateText(p), scopeText(p.GetScope()),
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
