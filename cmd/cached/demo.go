package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/image"
	"github.com/zonecache/cached/image/rootfs"
)

func newDemoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Publish a real tree, serve it, and read it cold, warm and after a restart",
		Long: `Publish a real tree (by default the Go distribution on this machine, hundreds of
megabytes) into a folder, start a daemon, read the whole image cold, warm and after a
restart of the daemon, and check every byte against the source. Everything happens in
a temporary directory that is removed at the end.`,
		Args: cobra.NoArgs,
	}
	source := cmd.Flags().String("source", "", "another `SOURCE` to publish, as for `cached publish`")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return runDemo(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), *source)
	}
	return cmd
}

const demoName = "demo:v1"

func runDemo(ctx context.Context, out, errOut io.Writer, source string) (err error) {
	if source == "" {
		root, err := goroot(ctx)
		if err != nil {
			return err
		}
		source = "dir:" + root
	}
	dir, err := os.MkdirTemp("", "cached-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d := &demo{dir: dir, out: out, errOut: errOut, source: source}
	return d.run(ctx)
}

// A demo is one run of the demonstration.
type demo struct {
	dir, source string
	out, errOut io.Writer
	published   image.Result
	digest      block.ID // of the image's bytes, as published
	passes      []demoPass
}

// A demoPass is one reading of the whole image.
type demoPass struct {
	name   string
	took   time.Duration
	bytes  int64 // of the image, decoded
	before statsReport
	after  statsReport
}

func (d *demo) run(ctx context.Context) (err error) {
	fmt.Fprintf(d.out, "1. publish %s into a folder\n", d.source)
	if err := d.publish(ctx); err != nil {
		return err
	}
	fmt.Fprintln(d.out, "\n2. start the daemon, read the whole image cold, then warm")
	var report rootfs.Report
	err = d.withDaemon(ctx, func(ctx context.Context, daemon *demoDaemon) error {
		if err := d.pass(ctx, daemon, "cold"); err != nil {
			return err
		}
		return d.pass(ctx, daemon, "warm")
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(d.out, "\n3. restart the daemon, read it again, and compare it with the source")
	err = d.withDaemon(ctx, func(ctx context.Context, daemon *demoDaemon) (err error) {
		if err := d.pass(ctx, daemon, "after restart"); err != nil {
			return err
		}
		report, err = d.compare(ctx, daemon)
		return err
	})
	if err != nil {
		return err
	}
	return d.summary(report)
}

// summary prints what the passes have shown.
func (d *demo) summary(report rootfs.Report) error {
	fmt.Fprintln(d.out)
	tw := tabwriter.NewWriter(d.out, 0, 8, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "READ\tBLOCKS\tBYTES\tL1\tL2\tL4 (ORIGIN)\tHIT RATE\tIMAGE\tGB/s\t")
	for _, p := range d.passes {
		by := p.byTier()
		all := tierShare{}.plus(by["l1"]).plus(by["l2"]).plus(by["l4"])
		fmt.Fprintf(tw, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%.2f\t\n", p.name, all.blocks, humanize.IBytes(all.bytes),
			by["l1"], by["l2"], by["l4"], percent(share(all.blocks-by["l4"].blocks, all.blocks)), humanize.IBytes(uint64(p.bytes)),
			float64(p.bytes)/1e9/p.took.Seconds())
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(d.out, "\nA tier's blocks are those it had when the reader, or the read-ahead before it, came for them. Bytes are blocks in their stored (compressed) form; IMAGE and GB/s count the image's own bytes, decoded and checked by the reader.")
	if report.Entries > 0 {
		fmt.Fprintf(d.out, "Every byte is right: %d files, %s, identical to the source tree (content, mode, owner, times, links).\n",
			report.Files, humanize.IBytes(uint64(report.Bytes)))
	} else {
		fmt.Fprintln(d.out, "Every byte is right: each pass hashed to what was published.")
	}
	fmt.Fprint(d.out, demoNext)
	return nil
}

const demoNext = `
Next:
  your own image     make demo SOURCE=oci:PATH   or: cached publish dir:PATH --name app:v1
  your object store  export AWS_ACCESS_KEY_ID=.. AWS_SECRET_ACCESS_KEY=..
                     export CACHED_ORIGIN='s3://BUCKET?endpoint=https://HOST:PORT&region=R'
                     cached publish docker://REGISTRY/IMAGE:TAG --name app:v1
  the daemon         cached serve, then cached read, cached stats and http://127.0.0.1:7071/
`

type tierShare struct{ blocks, bytes uint64 }

// String shows the blocks, and nothing for none.
func (s tierShare) String() string {
	if s.blocks == 0 {
		return "-"
	}
	return fmt.Sprintf("%d (%s)", s.blocks, humanize.IBytes(s.bytes))
}

func (s tierShare) plus(o tierShare) tierShare {
	return tierShare{s.blocks + o.blocks, s.bytes + o.bytes}
}

func (s tierShare) minus(o tierShare) tierShare {
	return tierShare{s.blocks - o.blocks, s.bytes - o.bytes}
}

// byTier returns who had what the reader asked for during the pass: what was read
// ahead of it, and so found in L1, counts where it was before.
func (p demoPass) byTier() map[string]tierShare {
	by, ahead := map[string]tierShare{}, map[string]tierShare{}
	add := func(r statsRow, sum func(tierShare, tierShare) tierShare) {
		of := by
		if r.Cause != block.Demand.String() {
			of = ahead
		}
		of[r.Tier] = sum(of[r.Tier], tierShare{r.Blocks, r.Bytes})
	}
	for _, r := range p.after.Rows {
		add(r, tierShare.plus)
	}
	for _, r := range p.before.Rows {
		add(r, tierShare.minus)
	}
	for _, tier := range []string{"l4", "l2"} {
		moved := tierShare{min(ahead[tier].blocks, by["l1"].blocks), min(ahead[tier].bytes, by["l1"].bytes)}
		by["l1"], by[tier] = by["l1"].minus(moved), by[tier].plus(moved)
	}
	return by
}

// goroot is the Go distribution's own tree, which is on every machine that could
// build this program.
func goroot(ctx context.Context) (string, error) {
	if root := os.Getenv("GOROOT"); root != "" {
		return filepath.EvalSymlinks(root)
	}
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("no Go distribution found (%w): name a tree, as in --source dir:/usr/lib", err)
	}
	return filepath.EvalSymlinks(strings.TrimSpace(string(out)))
}
