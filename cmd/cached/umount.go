package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/zonecache/cached/mount"
)

// umountWithin is how long a mount's process may take to end.
const umountWithin = 20 * time.Second

func newUmountCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "umount DIR...",
		Short: "Take down what `cached mount` has mounted",
		Long: `Take down a mount and end the process that serves it. While somebody uses the mount,
nothing happens but that you are told who. A mount whose process has died is cleared away.`,
		Args: cobra.MinimumNArgs(1),
	}
	state := cmd.Flags().String("state-dir", mount.DefaultState(), "`DIR` with the records of mounts")
	lazy := cmd.Flags().BoolP("lazy", "l", false, "take it out of sight now, down when its last user has gone")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		force := mount.Gently
		if *lazy {
			force = mount.Lazily
		}
		var errs []error
		for _, dir := range args {
			err := umount(cmd.Context(), *state, dir, force)
			if err == nil && *lazy {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is out of sight; the process that serves it ends with its last user\n", dir)
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
	return cmd
}

func umount(ctx context.Context, state, dir string, force mount.Force) error {
	ctx, cancel := context.WithTimeout(ctx, umountWithin)
	defer cancel()
	_, err := mount.Unmount(ctx, state, dir, force)
	var busy *mount.BusyError
	switch {
	case errors.As(err, &busy):
		return fmt.Errorf("umount: %w; --lazy takes it out of sight", busy)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("umount: nothing of ours is mounted on %s; `cached mount` lists what is", dir)
	case err != nil:
		return fmt.Errorf("umount: %w", err)
	}
	return nil
}
