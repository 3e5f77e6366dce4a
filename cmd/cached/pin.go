package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
)

func newPinCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pin NAME",
		Short: "Keep an image in this host's disk cache until it is unpinned",
		Long: `Bring the blocks of an image to this host's L2, and keep them there until 'cached
unpin': what its workloads have read in earlier starts, or all of it where none was
recorded, or with --all. All pins together take at most half of L2.

A pin follows its name: the daemon looks every five minutes, and whenever it has
prepared the image, what the name points at and what starts of it read, and brings
what is missing. While that does not fit, or cannot be found out, what was kept stays.
Pins outlive the daemon. Keeping blocks costs writes that count against
l2.write-budget-per-day. Should others fill L2's disk, pinned blocks go last.

'cached images ls' shows pins, 'cached stats' what they take.`,
		Example: `  cached pin flask:v1
  cached pin flask:v1 --all --no-wait
  cached unpin flask:v1`,
		Args: cobra.ExactArgs(1),
	}
	server := addServerFlag(cmd)
	scope := addScopeFlags(cmd, "keep")
	noWait := cmd.Flags().Bool("no-wait", false, "return once it has begun")
	asJSON := cmd.Flags().Bool("json", false, "print the result as JSON and no progress")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withClient(*server, func(client *api.Client) error {
			p, err := client.PinImage(cmd.Context(), args[0], scope())
			if err != nil {
				return err
			}
			if !*noWait {
				bar := newProgress(cmd.ErrOrStderr())
				if *asJSON {
					bar = newProgress(io.Discard)
				}
				p, err = waitForPin(cmd.Context(), client, p, bar)
				bar.finish()
				if err != nil {
					return err
				}
			}
			if *asJSON {
				err = printJSON(cmd.OutOrStdout(), newPinRow(p))
			} else {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, %s of %s in %d blocks\n",
					p.GetImage(), pinText(p), bytesText(int64(p.GetBytesHeld())), bytesText(int64(p.GetBytes())), p.GetBlocks())
			}
			if p.GetState() == cachedv1.PinState_PIN_STATE_INCOMPLETE {
				err = errors.Join(err, fmt.Errorf("%s is pinned, but not all of it is here: %s", p.GetImage(), p.GetProblem()))
			}
			return err
		})
	}
	return cmd
}

// waitForPin returns the pin when all of it is here, or not to be had now.
func waitForPin(ctx context.Context, client *api.Client, p *cachedv1.Pin, bar *progress) (*cachedv1.Pin, error) {
	image := p.GetImage()
	for p.GetState() == cachedv1.PinState_PIN_STATE_PINNING {
		bar.update("pinning "+image, int64(p.GetBytesHeld()), int64(p.GetBytes()))
		if err := pause(ctx, 2*watchEvery); err != nil {
			return nil, err
		}
		list, err := client.ListPins(ctx)
		if err != nil {
			return nil, err
		}
		if p = findPin(list, image); p == nil {
			return nil, fmt.Errorf("%s was unpinned meanwhile", image)
		}
	}
	return p, nil
}

func findPin(list []*cachedv1.Pin, image string) *cachedv1.Pin {
	for _, p := range list {
		if p.GetImage() == image {
			return p
		}
	}
	return nil
}

func newUnpinCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unpin NAME",
		Short: "Let a pinned image's blocks be evicted like all others",
		Args:  cobra.ExactArgs(1),
	}
	server := addServerFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print the pin that was as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withClient(*server, func(client *api.Client) error {
			p, err := client.UnpinImage(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), newPinRow(p))
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is pinned no longer; its %s stay until others need the room\n", p.GetImage(), bytesText(int64(p.GetBytesHeld())))
			return err
		})
	}
	return cmd
}

// A pinRow is a pin as scripts read it.
type pinRow struct {
	Image      string    `json:"image"`
	Manifest   string    `json:"manifest_id"`
	State      string    `json:"state"`
	Scope      string    `json:"scope"`
	Blocks     uint64    `json:"blocks"`
	BlocksHeld uint64    `json:"blocks_held"`
	Bytes      uint64    `json:"bytes"`
	BytesHeld  uint64    `json:"bytes_held"`
	Problem    string    `json:"problem,omitempty"`
	Since      time.Time `json:"since"`
}

func newPinRow(p *cachedv1.Pin) pinRow {
	return pinRow{
		p.GetImage(), p.GetManifestId(), strings.TrimPrefix(p.GetState().String(), "PIN_STATE_"), scopeText(p.GetScope()),
		p.GetBlocks(), p.GetBlocksHeld(), p.GetBytes(), p.GetBytesHeld(), p.GetProblem(), p.GetSince().AsTime(),
	}
}

// scopeText is essential or all.
func scopeText(s cachedv1.PreparationScope) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "PREPARATION_SCOPE_"))
}

// pinText is the state with how far it is; "-" for an image that is not pinned.
func pinText(p *cachedv1.Pin) string {
	switch {
	case p == nil:
		return "-"
	case p.GetState() != cachedv1.PinState_PIN_STATE_PINNED && p.GetBytes() > 0:
		return fmt.Sprintf("%s %d %%", newPinRow(p).State, 100*p.GetBytesHeld()/p.GetBytes())
	}
	return newPinRow(p).State
}
