package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zonecache/cached/loadtest/hitrate/day"
	"github.com/zonecache/cached/loadtest/workload"
)

// options are what the command line asks for.
type options struct {
	sources  []string
	form     string
	policies []string
	sizes    []float64 // in per cent of the distinct bytes
	seed     uint64
	json     bool
	plot     string
	doc      string
	day      day.Options
	streams  *day.Streams // once they are recorded
}

const usage = `usage: hitrate [flags] SOURCE...

Reads a sequence of block reads through caches of several policies and sizes, the
product's own L1 and L2 among them, and prints the share of reads and of bytes that
hit. Or simulates a day of a whole zone, and prints which tier served it.

    hitrate recorded                       starts of real images, recorded in this tree
    hitrate host disk                      a host of a made-up zone: its programs' reads, and its L2's
    hitrate trace.oracleGeneral.zst        a public trace (libCacheSim's form)
    hitrate -form cachelib reads.csv       another one (Meta's block traces)
    hitrate day                            24 hours of 100 hosts, after 24 that fill the caches
    hitrate -l2 200 -publish 24h day       with a quarter of the disks, and versions three times as often
    hitrate -json day | jq .day            for scripts
    hitrate -plot rates.svg recorded host  the rates by size, as a picture
    hitrate -doc docs/hitrate.md           makes the tables of that page anew (a quarter of an hour)

In a table of policies the columns are sizes, in per cent of all distinct bytes; a cell
is hits by reads / hits by bytes, in per cent. "all" has room for everything: what it
misses is read for the first time, and no policy can do better. "Belady" knows the
future and is optimal where all blocks have one size; where sizes differ it is a very
good policy rather than a bound. "-": the tier cannot be that small.

In a table of days "new" is the share of reads whose block the zone never had: they
reach the origin whatever is kept. "x disks" is how often the disks of all hosts could
hold what is read in the day.
`

// policyNames are all there are, in the order of tables.
var policyNames = []string{"LRU", "2Q", "S3-FIFO", "W-TinyLFU", "L1", "L2", "Belady", "all"}

func parse(args []string, out io.Writer) (*options, error) {
	o := &options{day: day.Default()}
	fs := flag.NewFlagSet("hitrate", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.Usage = func() {
		fmt.Fprint(out, usage, "\nflags\n")
		fs.PrintDefaults()
	}
	fs.StringVar(&o.form, "form", workload.FormOracle, "of trace files: `oracle` or cachelib")
	policies := fs.String("policy", strings.Join(policyNames, ","), "`NAMES` with commas between them")
	sizes := fs.String("sizes", "1,5,10,20,50", "of caches, in per cent of the distinct bytes")
	fs.Uint64Var(&o.seed, "seed", 1, "of all that is drawn")
	fs.BoolVar(&o.json, "json", false, "write JSON")
	fs.StringVar(&o.plot, "plot", "", "write the rates as a picture (SVG) to `FILE`, too")
	fs.StringVar(&o.doc, "doc", "", "make the tables of the page `FILE` anew")
	d := &o.day
	fs.IntVar(&d.Hosts, "hosts", d.Hosts, "day: hosts of the zone")
	l1 := fs.Int64("l1", d.L1>>20, "day: L1 of each, in `MiB`")
	l2 := fs.Int64("l2", d.L2>>20, "day: L2 of each, in `MiB`")
	fs.IntVar(&d.Images, "images", d.Images, "day: images that are started")
	fs.Float64Var(&d.Zipf, "zipf", d.Zipf, "day: exponent of the images' popularity")
	fs.StringVar(&d.Starts, "starts", d.Starts, "day: when they are, a `PROCESS` of cached bench")
	fs.IntVar(&d.Bursts, "bursts", d.Bursts, "day: bursts in 24 hours, each of one image")
	fs.IntVar(&d.BurstSize, "burst-size", d.BurstSize, "day: starts of a burst")
	fs.DurationVar(&d.PublishEvery, "publish", d.PublishEvery, "day: until an image's next version, on average")
	fs.DurationVar(&d.PatchEvery, "patch", d.PatchEvery, "day: until a base's next version, on average")
	fs.IntVar(&d.Replaced, "replaced", d.Replaced, "day: hosts that die in 24 hours, each replaced by an empty one")
	admit := fs.String("admit", "hot", "day: what goes to the disks of hosts that do not own it, `hot` or always")
	fs.BoolVar(&d.KeepOwned, "keep-owned", false, "day: disks evict what their hosts own last, which the product does not do")
	hours := fs.Duration("length", d.Length, "day: how long it is")
	warm := fs.Duration("warm", d.Warm, "day: how long the zone runs before")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	d.L1, d.L2, d.Seed, d.Length, d.Warm = *l1<<20, *l2<<20, o.seed, *hours, *warm
	if *admit != "hot" && *admit != "always" {
		return nil, fmt.Errorf("-admit %q: want hot or always", *admit)
	}
	d.Always = *admit == "always"
	if o.sources = fs.Args(); len(o.sources) == 0 && o.doc == "" {
		return nil, fmt.Errorf("which reads? -help says what there is")
	}
	return o, o.lists(*policies, *sizes)
}

func (o *options) lists(policies, sizes string) error {
	for name := range strings.SplitSeq(policies, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(policyNames, name) {
			return fmt.Errorf("-policy %q: want some of %s", name, strings.Join(policyNames, ", "))
		}
		o.policies = append(o.policies, name)
	}
	for text := range strings.SplitSeq(sizes, ",") {
		percent, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || !(percent > 0 && percent <= 100) {
			return fmt.Errorf("-sizes %q: want numbers above 0 and up to 100", text)
		}
		o.sizes = append(o.sizes, percent)
	}
	return nil
}

// The made-up zone of "host" and "disk": ten hosts, so that what one of them owns is
// enough to fill disks of the sizes that the tier takes.
func (o *options) streamed() day.Options {
	z := o.day
	z.Hosts, z.Starts, z.BurstSize, z.Warm, z.Length = 10, "diurnal:0.05-0.25/s@24h", 20, 0, 24*time.Hour
	return z
}
