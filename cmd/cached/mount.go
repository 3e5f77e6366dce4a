package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/zonecache/cached/agent"
	"github.com/zonecache/cached/mount"
)

// A mountCommand is what `cached mount` was told.
type mountCommand struct {
	image, dir string
	server     *target
	origins    []string
	workload   string
	as         string
	overlay    string
	bundle     string
	hostNet    bool
	args       []string // of the bundle's process
	state      string
	grace      time.Duration
	deadline   time.Duration
	window     Size
	keep       time.Duration
	keptOnly   bool // list
	foreground bool
	asJSON     bool
	readyFD    int

	heirs string // audience
	held  bool   // the kernel has pages of the image
}

func newMountCommand() *cobra.Command {
	c := &mountCommand{}
	cmd := &cobra.Command{
		Use:   "mount [IMAGE DIR] | [IMAGE --runtime-bundle DIR [-- COMMAND...]]",
		Short: "Mount an image as a root filesystem, whose blocks come when they are read",
		Long: `Mount an image on DIR, read-only and at once, whatever its size: blocks come through
the daemon when a program first reads them. Without arguments, list the mounts.

The kernel mounts the image's own EROFS from a file that a process of this command
serves; that process is not the daemon, which may be restarted or updated meanwhile.
While the daemon is away blocks come from the origin if --origin names one. What
cannot be had within --deadline is an I/O error for the program, never a hang.

After an umount the process goes on for --keep without a mount, and the kernel keeps
the pages that were read: the same image mounted again has them. --kept lists these;
cached umount --kept ends them.

IMAGE is a name or a manifest id. A name that moves on does not change the mount.`,
		Example: `  cached mount flask:v1 /mnt/flask                       # then: chroot /mnt/flask ...
  cached mount flask:v1 /mnt/flask --overlay /var/flask  # writes go to /var/flask
  cached mount flask:v1 --runtime-bundle /run/web        # then: runc run -b /run/web web
  cached mount flask:v1 --runtime-bundle /run/web --overlay /var/web --host-network
  cached mount vm:v1 /mnt/vm --as file                   # /mnt/vm/image.erofs, for a virtual machine
  cached umount /mnt/flask`,
		Args: cobra.ArbitraryArgs,
	}
	fs := cmd.Flags()
	c.server = addServerFlag(cmd)
	fs.StringArrayVar(&c.origins, "origin", envWords("ORIGIN"), "origin `URL` to read from while the daemon is away; repeat for fail-over (env CACHED_ORIGIN)")
	fs.StringVar(&c.workload, "workload", "", "`NAME` of the program or function that will run")
	fs.StringVar(&c.as, "as", string(mount.Auto), "how: auto, erofs (the kernel's, from a file), loop (from a loop device), fuse (a FUSE file system), file (one file, no tree)")
	fs.StringVar(&c.overlay, "overlay", "", "make DIR writable: what is written goes to this `DIR`")
	fs.StringVar(&c.bundle, "runtime-bundle", "", "write an OCI runtime bundle into `DIR` and mount the image on its rootfs")
	fs.BoolVar(&c.hostNet, "host-network", false, "with --runtime-bundle: the container has the host's network instead of one in which it is alone")
	fs.DurationVar(&c.grace, "grace", agent.DefaultGrace, "how long to wait for a daemon that is away before the origin is read")
	fs.DurationVar(&c.deadline, "deadline", agent.DefaultDeadline, "how long a read may take before it is an I/O error")
	c.window = agent.DefaultWindow
	fs.Var(&c.window, "window", "memory for decoded blocks, beside the kernel's page cache")
	keep, badKeep := envDuration("KEEP", defaultKeep)
	fs.DurationVar(&c.keep, "keep", keep, "how long the kernel keeps what was read of the image once it is unmounted, for a next mount of it; 0: not at all (env CACHED_KEEP)")
	fs.BoolVar(&c.keptOnly, "kept", false, "list what is kept without a mount instead of the mounts")
	fs.StringVar(&c.state, "state-dir", mount.DefaultState(), "`DIR` with the records of mounts")
	fs.BoolVarP(&c.foreground, "foreground", "f", false, "serve from this process instead of one in the background")
	fs.BoolVar(&c.asJSON, "json", false, "print JSON")
	fs.IntVar(&c.readyFD, "ready-fd", 0, "")
	_ = fs.MarkHidden("ready-fd") // between the command and its background process
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dash := cmd.ArgsLenAtDash()
		if dash >= 0 {
			args, c.args = args[:dash], args[dash:]
		}
		if len(args) == 0 && dash < 0 && c.bundle == "" {
			return c.list(cmd.OutOrStdout())
		}
		if badKeep != nil && !fs.Changed("keep") {
			return fmt.Errorf("mount: %w", badKeep)
		}
		if err := c.take(args); err != nil {
			return err
		}
		if c.foreground {
			return c.serve(cmd)
		}
		return c.background(cmd)
	}
	return cmd
}

// take checks the arguments before anything happens.
func (c *mountCommand) take(args []string) error {
	want := 2
	if c.bundle != "" {
		want = 1
	}
	switch {
	case len(args) != want && c.bundle != "":
		return fmt.Errorf("mount: want IMAGE --runtime-bundle DIR, and the command to run, if any, behind --; got %d arguments", len(args))
	case len(args) != want:
		return fmt.Errorf("mount: want IMAGE and DIR, got %d arguments; see cached mount --help", len(args))
	case len(c.args) > 0 && c.bundle == "":
		return errors.New("mount: a command behind -- goes with --runtime-bundle")
	case c.hostNet && c.bundle == "":
		return errors.New("mount: --host-network goes with --runtime-bundle")
	case c.window < 1<<20:
		return fmt.Errorf("mount: --window %s: want at least 1MiB", c.window)
	case c.keep < 0:
		return fmt.Errorf("mount: --keep %s: must not be negative", c.keep)
	case c.keptOnly:
		return errors.New("mount: --kept goes without IMAGE and DIR")
	case c.grace < 0 || c.deadline <= 0:
		return fmt.Errorf("mount: --grace %s, --deadline %s: the one must not be negative, the other must be positive", c.grace, c.deadline)
	}
	c.image = args[0]
	if _, err := mount.ParseKind(c.as); err != nil {
		return fmt.Errorf("mount: --as %w", err)
	}
	if err := agent.CheckName(c.image); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	if c.bundle != "" {
		if c.as == string(mount.File) {
			return errors.New("mount: --as file gives no root file system for --runtime-bundle")
		}
		c.dir = filepath.Join(c.bundle, "rootfs")
		return nil
	}
	c.dir = args[1]
	return nil
}

// A listedMount is a mount as scripts read it.
type listedMount struct {
	*mount.Record
	Alive    bool `json:"alive"`
	Detached bool `json:"detached,omitempty"` // out of sight, for those who still use it
}

// detached is how the lists call what was unmounted with --lazy and is in use.
const detached = "detached (lazy)"

func (c *mountCommand) list(w io.Writer) error {
	if c.keptOnly {
		return c.listKept(w)
	}
	records, err := mount.List(c.state)
	if err != nil {
		return err
	}
	rows := make([]listedMount, 0, len(records))
	for _, r := range records {
		rows = append(rows, listedMount{Record: r, Alive: r.Alive()})
	}
	left, err := mount.ListKept(c.state)
	if err != nil {
		return err
	}
	for _, r := range left {
		if r.Over {
			rows = append(rows, listedMount{Record: &mount.Record{Holding: r.Holding, Dir: r.Dir, Kind: r.Kind}, Alive: true, Detached: true})
		}
	}
	if c.asJSON {
		return printJSON(w, rows)
	}
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "DIR\tIMAGE\tMANIFEST\tAS\tOVERLAY\tPROCESS\tSINCE")
	for _, r := range rows {
		process := fmt.Sprint(r.PID)
		switch {
		case r.Detached:
			process += ", " + detached
		case !r.Alive:
			process = "dead"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Dir, r.Image, shortID(r.Manifest), r.Kind, r.Overlay, process, r.Since.Local().Format(time.DateTime))
	}
	return tw.Flush()
}

func (c *mountCommand) listKept(w io.Writer) error {
	records, err := mount.ListKept(c.state)
	if err != nil {
		return err
	}
	if c.asJSON {
		return printJSON(w, append([]*mount.KeptRecord{}, records...))
	}
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "IMAGE\tMANIFEST\tPROCESS\tSINCE\tUNTIL")
	for _, r := range records {
		until := r.Until.Local().Format(time.DateTime)
		if r.Over {
			until = detached + ": its open files are closed"
		}
		fmt.Fprintf(tw, "%s\t%s\t%d\t%s\t%s\n", r.Image, shortID(r.Manifest), r.PID, r.Since.Local().Format(time.DateTime), until)
	}
	return tw.Flush()
}
