// Command build builds the container images of package images:
//
//	go run ./loadtest/images/build -help
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/zonecache/cached/loadtest/images"
)

const help = `Build container images like those of the field, from Debian 12 packages, as OCI
image layouts: a base layer that all share, a runtime layer of packages, an app.

  go run ./loadtest/images/build tiny                # some seconds
  go run ./loadtest/images/build flask flask:v2      # a version, and the next one
  go run ./loadtest/images/build all                 # every image, both versions

It ends by printing their sizes and where they are, as other tools take it:

  bin/cached publish oci:.cache/images/flask-v1-0123/oci:v1 --name flask:v1

Building needs root, apt and a mirror of Debian; the first image takes the base
with it. What is there already is not built again. Nothing is left of a build that
fails or is interrupted, no file, no mount, no process.

Names:
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("build", flag.ContinueOnError)
	fs.SetOutput(stderr)
	dir := fs.String("dir", "", "build and find images in `DIR` (default: .cache/images in the repository)")
	fs.Usage = func() { usage(stderr, fs) }
	if err := fs.Parse(args); err != nil {
		return err
	}
	names, err := expand(fs.Args())
	if err != nil {
		return err
	}
	if *dir == "" {
		if *dir, err = images.Dir(); err != nil {
			return err
		}
	}
	var all []images.Built
	for _, name := range names {
		b, err := images.Build(ctx, *dir, name, printer(stderr, time.Now()))
		if err != nil {
			return err
		}
		all = append(all, b)
	}
	return table(stdout, all)
}

func usage(w io.Writer, fs *flag.FlagSet) {
	fmt.Fprint(w, help)
	for _, name := range images.Names() {
		if i, err := images.Find(name); err == nil {
			fmt.Fprintf(w, "  %-8s %s (%s)\n", name, i.About, strings.Join(i.Packages, " "))
		}
	}
	fmt.Fprintln(w, "\nFlags:")
	fs.PrintDefaults()
}

// expand checks all names before the first build, which may take minutes.
func expand(args []string) ([]string, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("name an image, or all: %s; -help says more", strings.Join(images.Names(), ", "))
	}
	if slices.Equal(args, []string{"all"}) {
		args = nil
		for _, name := range images.Names() {
			args = append(args, name+":v1", name+":v2")
		}
	}
	for _, name := range args {
		if _, err := images.Find(name); err != nil {
			return nil, err
		}
	}
	return args, nil
}

func printer(w io.Writer, start time.Time) func(images.Progress) {
	return func(p images.Progress) {
		what := p.Image
		if p.Layer != "" {
			what += " " + p.Layer
		}
		fmt.Fprintf(w, "%5.0fs  %-18s %s\n", time.Since(start).Seconds(), what, p.Doing)
	}
}

func table(w io.Writer, all []images.Built) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "image\tlayer\tMB gzipped\tMB unpacked\tfiles\t")
	for _, b := range all {
		sum := images.Layer{Name: "all"}
		for _, l := range b.Layers {
			sum.Size, sum.Unpacked, sum.Files = sum.Size+l.Size, sum.Unpacked+l.Unpacked, sum.Files+l.Files
		}
		for _, l := range append(b.Layers, sum) {
			fmt.Fprintf(t, "%s\t%s\t%.2f\t%.2f\t%d\t\n", b.Ref(), l.Name, float64(l.Size)/1e6, float64(l.Unpacked)/1e6, l.Files)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, b := range all {
		if _, err := fmt.Fprintln(w, b.Source()); err != nil {
			return err
		}
	}
	return nil
}
