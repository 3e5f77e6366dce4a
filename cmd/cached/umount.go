package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/zonecache/cached/mount"
)

// umountWithin is how long a mount's process may take to end.
const umountWithin = 20 * time.Second

func newUmountCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "umount DIR... | --all | --kept",
		Short: "Take down what `cached mount` has mounted",
		Long: `Take down a mount. While somebody uses it, nothing happens but that you are told who.
A mount whose process has died is cleared away.

What the kernel has read of the image is kept for a while for a next mount of it, by
the process that served the mount (cached mount --keep); --now ends that process, too.`,
		Example: `  cached umount /mnt/flask
  cached umount /mnt/flask --now   # and keep nothing of it
  cached umount --kept             # keep nothing of what was unmounted before
  cached umount --all              # every mount of this host, and what is kept`,
	}
	state := cmd.Flags().String("state-dir", mount.DefaultState(), "`DIR` with the records of mounts")
	lazy := cmd.Flags().BoolP("lazy", "l", false, "take it out of sight now, which frees DIR, and down when its last user has gone")
	now := cmd.Flags().Bool("now", false, "keep nothing of it, and return when the process that serves it has ended")
	all := cmd.Flags().Bool("all", false, "take down all mounts, and keep nothing")
	kept := cmd.Flags().Bool("kept", false, "keep nothing of what was unmounted before")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 == (!*all && !*kept) {
			return errors.New("umount: want the directories of mounts, or --all, or --kept; see cached umount --help")
		}
		if *all {
			records, err := mount.List(*state)
			if err != nil {
				return err
			}
			for _, r := range records {
				args = append(args, r.Dir)
			}
		}
		force := mount.Gently
		switch {
		case *lazy:
			force = mount.Lazily
		case *now, *all:
			force = mount.Wholly
		}
		var errs []error
		for _, dir := range args {
			r, err := umount(cmd.Context(), *state, dir, force)
			switch {
			case err != nil || !*lazy:
			case r.Alive() && !r.Leaves:
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is out of sight; process %d, of an earlier version, ends with its last user, and %s is free then\n", dir, r.PID, dir)
			default:
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is free; the process that served it ends with its last user\n", dir)
			}
			errs = append(errs, err)
		}
		if *all || *kept {
			errs = append(errs, dropKept(cmd.Context(), cmd.OutOrStdout(), *state))
		}
		return errors.Join(errs...)
	}
	return cmd
}

// dropKept ends what is kept without a mount, and waits for that. What is there for those
// who use it ends with the last of them.
func dropKept(ctx context.Context, w io.Writer, state string) error {
	ctx, cancel := context.WithTimeout(ctx, umountWithin)
	defer cancel()
	err := mount.Settle(ctx, state)
	list, listed := mount.ListKept(state)
	err = errors.Join(err, listed)
	var dropped []*mount.KeptRecord
	for _, r := range list {
		if r.Over {
			_, e := fmt.Fprintf(w, "%s, which was on %s, is %s: process %d ends when its open files are closed\n", r.Image, r.Dir, detached, r.PID)
			err = errors.Join(err, e)
			continue
		}
		dropped = append(dropped, r)
		err = errors.Join(err, r.Drop())
	}
	for _, r := range dropped {
		err = errors.Join(err, r.Await(ctx))
	}
	return err
}

func umount(ctx context.Context, state, dir string, force mount.Force) (*mount.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, umountWithin)
	defer cancel()
	r, err := mount.Unmount(ctx, state, dir, force)
	var busy *mount.BusyError
	switch {
	case errors.As(err, &busy):
		return nil, fmt.Errorf("umount: %w; --lazy takes it out of sight", busy)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("umount: nothing of ours is mounted on %s; `cached mount` lists what is", dir)
	case err != nil:
		return nil, fmt.Errorf("umount: %w", err)
	}
	return r, nil
}
