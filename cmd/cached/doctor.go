package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/block"
)

func newDoctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check this host, the origin and the zone, and say what to do",
		Long: `Look at all that a daemon with this configuration needs, and say what is wrong and what to
do about it: memory, the disk and its speed, the object store, the clock, certificates and
seeds of the zone, and what the kernel can mount. Flags, environment and file are those of
'cached serve'; it may run beside the daemon.

It makes the directories that the daemon would make, writes 64 MiB to that of L2 and removes
them, and asks the object store a few times. The exit status is 1 if something keeps the daemon from working.`,
		Example: "  cached doctor --config /etc/cached/cached.yaml",
		Args:    cobra.NoArgs,
	}
	load := addConfigFlags(cmd, bindFlags)
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		d := &doctor{cfg: cfg}
		if !*asJSON {
			d.tell = func(f finding) { f.print(cmd.OutOrStdout()) }
		}
		d.examine(cmd.Context())
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

// slowDaemon is how long the daemon may take to answer.
const slowDaemon = 3 * time.Second

func (d *doctor) examine(ctx context.Context) {
	d.memory()
	d.descriptors()
	d.disk()
	d.origins(ctx)
	d.clock(ctx)
	d.zone(ctx)
	d.kernel()
	d.daemon(ctx)
}

// daemon asks the one that may run here what it complains of.
func (d *doctor) daemon(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, slowDaemon)
	defer cancel()
	client, err := api.NewClient(d.cfg.agentsURL(), api.ClientOptions{})
	if err != nil {
		d.note("daemon", doubted, "", "cannot be asked: %v", err)
		return
	}
	defer client.Close()
	st, err := client.Status(ctx)
	switch {
	case errors.Is(err, api.ErrDenied), errors.Is(err, block.ErrUnauthenticated):
		d.note("daemon", sound, "", "runs at %s, and answers operators only", client.URL())
	case err != nil:
		d.note("daemon", sound, "", "none runs at %s", client.URL())
	case len(st.GetNotReady()) > 0:
		d.note("daemon", doubted, "see what failed above", "runs at %s and is not ready: %s", client.URL(), st.GetNotReady()[0])
	default:
		d.note("daemon", sound, "", "runs at %s, version %s", client.URL(), st.GetVersion())
	}
}
