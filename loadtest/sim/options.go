package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/zonecache/cached/loadtest/sim/spread"
)

// options are what the command line asks for.
type options struct {
	scenarios []spread.Scenario
	protocols []spread.Protocol
	parallel  int
	json      bool
	plot      string
}

const usage = `usage: sim [flags] SCENARIO...

Simulates how an image spreads to the hosts of a zone that start it at once, and
states the times beside the least that links and origin leave:

    reachable = origin's delay + (1 + floor(log2 N)/M) S/B

for N hosts with links of B bytes a second and an image of S bytes in M blocks.
The same seed gives the same figures. "all" names all scenarios, and all protocols.

    sim start-1g                                   the product, 1,000 hosts, 64 MiB
    sim -protocol all start-1g image-1g            beside the field
    sim -hosts 200 -rate 25 -image 512 start-1g    a scenario with other sizes
    sim -plot burst.svg -protocol all start-1g     the share of hosts that have the image, over time
    sim -json deaths | jq '.[].result.seconds'     for scripts

In the table, "p50 p99 max" are seconds from a host's start until it has the whole
image, "by reachable" the same over the least time, "first" the time until it has
its first block, "reads" how often the origin was read for each block or piece,
"msgs" the messages for each block and host. Hosts that die or have slow links are
not counted.
`

func parse(args []string, out io.Writer) (*options, error) {
	o := &options{}
	fs := flag.NewFlagSet("sim", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.Usage = func() { help(fs, out) }
	protocols := fs.String("protocol", string(spread.Cached), "`NAMES` with commas between them, or all")
	seed := fs.Uint64("seed", 0, "of all that is drawn; 0: the scenario's")
	hosts := fs.Int("hosts", 0, "in the zone, all of which start; 0: the scenario's")
	rate := fs.Float64("rate", 0, "of the hosts' links in `Gbit/s`; 0: the scenario's")
	origin := fs.Float64("origin-rate", 0, "of the origin's link in `Gbit/s`; 0: as many hosts' links as in the scenario")
	delay := fs.Duration("origin-delay", 0, "of the origin to its first byte; 0: the scenario's")
	image := fs.Int64("image", 0, "size in `MiB`; 0: the scenario's")
	block := fs.Int("block", 0, "size in `KiB`; 0: the scenario's")
	fs.IntVar(&o.parallel, "parallel", defaultParallel(), "simulations at a time")
	fs.BoolVar(&o.json, "json", false, "write JSON")
	fs.StringVar(&o.plot, "plot", "", "write the times as a picture (SVG) to `FILE`, too")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	change := func(z *spread.Zone) {
		if *hosts > 0 {
			z.Hosts, z.Readers = *hosts, 0
		}
		if *rate > 0 {
			z.OriginRate *= *rate * 1e9 / z.Rate
			z.Rate = *rate * 1e9
		}
		if *origin > 0 {
			z.OriginRate = *origin * 1e9
		}
		if *delay > 0 {
			z.OriginDelay = *delay
		}
		if *image > 0 {
			z.Image, z.Sizes = *image<<20, nil
		}
		if *block > 0 {
			z.Image, z.Block, z.Sizes = z.Total(), *block<<10, nil
		}
		if *seed > 0 {
			z.Seed = *seed
		}
	}
	return o, o.name(fs.Args(), *protocols, change)
}

// name finds what is called so.
func (o *options) name(scenarios []string, protocols string, change func(*spread.Zone)) error {
	if len(scenarios) == 0 {
		return fmt.Errorf("which scenario? -help has them all")
	}
	for _, name := range scenarios {
		if name == "all" {
			o.scenarios = append(o.scenarios, spread.Scenarios...)
			continue
		}
		sc, err := spread.Find(name)
		if err != nil {
			return fmt.Errorf("%w; -help has them all", err)
		}
		o.scenarios = append(o.scenarios, sc)
	}
	for i := range o.scenarios {
		change(&o.scenarios[i].Zone)
	}
	if protocols == "all" {
		o.protocols = spread.All
		return nil
	}
	for name := range strings.SplitSeq(protocols, ",") {
		p, err := spread.ParseProtocol(strings.TrimSpace(name))
		if err != nil {
			return err
		}
		o.protocols = append(o.protocols, p)
	}
	return nil
}

func help(fs *flag.FlagSet, out io.Writer) {
	fmt.Fprint(out, usage, "\nscenarios\n")
	tw := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, sc := range spread.Scenarios {
		about := sc.About
		if sc.Theirs != "" {
			about += "; " + sc.Theirs
		}
		fmt.Fprintf(tw, "  %s\t%s\n", sc.Name, about)
	}
	fmt.Fprint(tw, "\nprotocols\n")
	for _, p := range spread.All {
		fmt.Fprintf(tw, "  %s\t%s\n", p, p.About())
	}
	tw.Flush()
	fmt.Fprintln(out, "\nflags")
	fs.PrintDefaults()
}

// duration prints seconds in the unit that fits.
func duration(s float64) string {
	d := time.Duration(s * 1e9)
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", s)
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", s)
	}
	return fmt.Sprintf("%.1f ms", s*1e3)
}
