package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func newDoctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check this host, the origin and the zone, and say what to do",
		Long: `Look at all that a daemon with this configuration needs, and say what is wrong and what to
do about it: the configuration itself, memory, the disk and its speed, the object store and
its latency, the clock, certificates, tenants, gossip keys and seeds of the zone, what the kernel
can mount, ports, and, where the daemon runs, what it says of itself; each of its peers is asked for
a block that nobody has. Seeds are pinged by UDP as gossip does; whether other nodes are reached so,
only the daemon knows (it suspects those that are not). Flags, environment and file are those of 'cached serve'; it may run
beside the daemon.

It makes the directories that the daemon would make, writes up to 64 MiB to that of L2,
reads them past the page cache where it can, and removes them, and asks the object store a few times. The exit status is 1 if something keeps the daemon from working.`,
		Example: "  cached doctor --config /etc/cached/cached.yaml",
		Args:    cobra.NoArgs,
	}
	load := addConfigFlags(cmd, bindFlags)
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, invalid := load()
		d := &doctor{cfg: cfg}
		if !*asJSON {
			d.tell = func(f finding) { f.print(cmd.OutOrStdout()) }
		}
		if d.config(invalid) {
			d.examine(cmd.Context())
		}
		if *asJSON {
			if err := printJSON(cmd.OutOrStdout(), d.found); err != nil {
				return err
			}
		}
		if n := d.count(broken); n > 0 {
			return fmt.Errorf("doctor: %d of %d checks failed", n, len(d.found))
		}
		return nil
	}
	return cmd
}

// A verdict is how something is.
type verdict string

const (
	sound   verdict = "ok"
	doubted verdict = "warning" // it works, worse than it could
	broken  verdict = "failed"
)

// A finding is what one check came to.
type finding struct {
	Check   string  `json:"check"`
	Verdict verdict `json:"verdict"`
	Is      string  `json:"is"`
	Do      string  `json:"do,omitempty"`
}

func (f finding) print(w io.Writer) {
	fmt.Fprintf(w, "%-8s %-12s %s\n", f.Verdict, f.Check, f.Is)
	if f.Do != "" {
		fmt.Fprintf(w, "%-8s %-12s -> %s\n", "", "", f.Do)
	}
}

// A doctor examines what a daemon with a configuration needs.
type doctor struct {
	cfg   Config
	tell  func(finding) // each, at once; nil: nobody
	found []finding
}

func (d *doctor) note(check string, v verdict, do, format string, args ...any) {
	f := finding{Check: check, Verdict: v, Is: fmt.Sprintf(format, args...), Do: do}
	if v == sound {
		f.Do = ""
	}
	d.found = append(d.found, f)
	if d.tell != nil {
		d.tell(f)
	}
}

func (d *doctor) count(v verdict) int {
	n := 0
	for _, f := range d.found {
		if f.Verdict == v {
			n++
		}
	}
	return n
}

func (d *doctor) examine(ctx context.Context) {
	d.memory()
	d.descriptors()
	d.disk()
	d.origins(ctx)
	d.clock(ctx)
	d.agents(ctx)
	d.zone(ctx)
	d.mounts(thisKernel())
	d.daemon(ctx)
}
