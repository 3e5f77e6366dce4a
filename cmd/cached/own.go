package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func newOwnCommand() *cobra.Command {
	var user string
	cmd := &cobra.Command{
		Use:   "own DIR --user UID:GID",
		Short: "Give a directory to the user that the daemon runs as",
		Long: `Give DIR, which is made if need be, and all that is in it to a user, unless the user has it
already. For init containers: a directory of the host belongs to root at first, and the
daemon's image has no chown.`,
		Example: "  cached own /var/lib/cached --user 65532:65532",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			uid, gid, err := parseOwner(user)
			if err != nil {
				return err
			}
			n, err := own(args[0], uid, gid)
			if err == nil {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s belongs to %d:%d (%d changed)\n", args[0], uid, gid, n)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&user, "user", "", "`UID:GID` of the daemon's user")
	_ = cmd.MarkFlagRequired("user") // fails for a flag that is not there
	return cmd
}

func parseOwner(text string) (uid, gid int, err error) {
	u, g, ok := strings.Cut(text, ":")
	if uid, err = strconv.Atoi(u); err == nil && ok {
		gid, err = strconv.Atoi(g)
	}
	if err != nil || !ok || uid < 0 || gid < 0 {
		return 0, 0, fmt.Errorf("own: --user %q: want UID:GID, two numbers", text)
	}
	return uid, gid, nil
}

// own gives dir and what is in it to a user, dir last: one that the user has is done.
// It returns how many entries were somebody else's.
func own(dir string, uid, gid int) (changed int, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	owned := func(fi fs.FileInfo) bool {
		st, ok := fi.Sys().(*syscall.Stat_t)
		return ok && int(st.Uid) == uid && int(st.Gid) == gid
	}
	top, err := os.Stat(dir)
	if err != nil || owned(top) {
		return 0, err
	}
	var dirs []string
	give := func(name string) error {
		changed++
		return os.Lchown(name, uid, gid)
	}
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		switch {
		case err != nil:
			return err
		case d.IsDir():
			dirs = append(dirs, name)
			return nil
		case owned(fi):
			return nil
		}
		return give(name)
	})
	for i := len(dirs) - 1; i >= 0 && err == nil; i-- {
		err = give(dirs[i])
	}
	return changed, err
}
