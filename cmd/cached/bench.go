package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/zonecache/cached/loadtest/bench"
	"github.com/zonecache/cached/loadtest/workload"
)

func newBenchCommand() *cobra.Command {
	b := &benchCommand{}
	cmd := &cobra.Command{
		Use:   "bench --image NAME",
		Short: "Load running daemons, and say how fast each tier serves and what it costs",
		Long: `Load running daemons through the real client, and say which tier served how fast,
what was read of the origin, and what it cost in processor time.

What arrives is a read of one block, or with --starts a start: all blocks of its image,
--parallel at once, ready with the last one.

Open loop, --arrivals: things arrive when they should, whether or not earlier ones have
ended, and latencies count from then. A daemon that stands still is seen by all that
would have arrived meanwhile.
  ` + strings.ReplaceAll(workload.Processes, "\n", "\n  ") + `
  replay:FILE              a CSV of function starts: Azure Functions 2019 or 2021, FaaSNet
  trace                    when the accesses of --trace were, for public traces
Closed loop, --clients: each asks again as soon as it is answered. It shows what a
daemon can do at most, and hides what users wait while it does not.

What is read: all blocks of each --image; with --workload those that its starts are
expected to read; with --trace those of a file: a start recorded here ('cached trace
export'), one of overlaybd, or a public trace of blocks (oracleGeneral of libCacheSim,
CacheLib), whose objects stand for the image's blocks in the order in which they appear.

Everything that is drawn follows from --seed. Exit status 1: a block was wrong, or more
reads failed than --allow-errors.`,
		Example: `  cached bench --image flask:v1 --arrivals poisson:500/s --duration 30s
  cached bench --image flask:v1 --clients 8 --duration 10s --order random
  cached bench --image flask:v1 --starts --cold drill --arrivals bursts:1,4,16 --html starts.html
  cached bench --image a:v1 --image b:v1 --zipf 1 --starts --arrivals replay:faasnet.csv --speed 60 \
    --server http://host-a:7070 --server http://host-b:7070 --json run.json
  cached bench compare before.json after.json --max-worse 5%`,
		Args: cobra.NoArgs,
	}
	b.addFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return b.run(cmd) }
	cmd.AddCommand(newBenchCompareCommand(), newBenchReportCommand(), newBenchImagesCommand())
	return cmd
}

// A benchCommand is what the flags say.
type benchCommand struct {
	target   *target
	servers  []string
	metrics  []string
	encoding string

	sources  benchSources
	arrivals string
	speed    float64
	verify   string
	allowed  string
	timeout  time.Duration
	starts   bool
	order    string
	options  bench.Options
	outputs  benchOutputs
}

func (b *benchCommand) addFlags(cmd *cobra.Command) {
	b.target = addServerFlag(cmd)
	fs := cmd.Flags()
	def := fs.Lookup("server")
	def.Usage = "`URL` of a daemon, http://HOST:PORT or https://HOST:PORT; repeated, arrivals go to them in turn (env CACHED_SERVER)"
	def.Value = newServersValue(&b.servers, b.target.url)
	def.DefValue = b.target.url
	fs.StringArrayVar(&b.metrics, "metrics", nil, "`URL` of a daemon's metrics, one for each --server (default: what the daemon says; none: not asked)")
	fs.StringVar(&b.encoding, "encoding", "raw", "raw, connect or grpc")
	fs.DurationVar(&b.timeout, "timeout", time.Minute, "longest a read may take")

	fs.StringArrayVar(&b.sources.images, "image", nil, "`NAME` of an image; repeated, the most popular first")
	fs.StringVar(&b.sources.workload, "workload", "", "read what starts of this program or function are expected to read")
	fs.StringVar(&b.sources.trace, "trace", "", "`FILE` with what is read")
	fs.StringVar(&b.sources.form, "trace-format", formAuto, "json, overlaybd, oracle, cachelib or auto")
	fs.IntVar(&b.sources.limit, "trace-limit", 1_000_000, "read at most `N` accesses of a public trace")
	fs.Float64Var(&b.options.Zipf, "zipf", 0, "`EXPONENT` of the images' popularity; 0: all alike")
	fs.StringVar(&b.order, "order", "trace", "of single reads: trace (as listed), or random")

	fs.StringVar(&b.arrivals, "arrivals", "", "`PROCESS` of an open loop, as above")
	fs.Float64Var(&b.speed, "speed", 1, "let the time of the arrivals pass `X` times as fast")
	fs.IntVar(&b.options.Clients, "clients", 0, "`N` clients in a closed loop")
	fs.BoolVar(&b.starts, "starts", false, "what arrives is a start, not a read")
	fs.IntVar(&b.options.Parallel, "parallel", 16, "reads at once within a start")
	fs.BoolVar(&b.options.Session, "session", false, "with --starts: open and close the image as a host agent does; the daemon reads ahead, and records the start")
	fs.StringVar((*string)(&b.options.Cold), "cold", "", "before each round and each burst: purge (drop the images, but what others have of them) or drill (hide all that the daemons hold, from everybody, meanwhile)")

	fs.DurationVar(&b.options.Duration, "duration", 0, "`TIME` to measure")
	fs.IntVar(&b.options.Limit, "count", 0, "`N` arrivals at most")
	fs.IntVar(&b.options.Rounds, "rounds", 1, "do it all `N` times")
	fs.DurationVar(&b.options.Warmup, "warmup", 0, "`TIME` of the same load beforehand that does not count")
	fs.IntVar(&b.options.MaxInFlight, "max-in-flight", 4096, "arrivals in progress; those beyond wait, which counts")
	fs.Uint64Var(&b.options.Seed, "seed", 1, "where random numbers begin")
	fs.DurationVar(&b.options.Interval, "interval", time.Second, "of the time series, and of the samples that are compared")
	fs.StringVar(&b.verify, "verify", "1/16", "share of the blocks whose bytes are checked, outside of the latencies: all, none or 1/N")
	fs.StringVar(&b.allowed, "allow-errors", "0%", "share of the reads that may fail")
	b.outputs.addFlags(cmd)
}

func (b *benchCommand) run(cmd *cobra.Command) (err error) {
	allowed, err := b.parse(cmd)
	if err != nil {
		return err
	}
	daemons, err := b.connect(cmd.Context())
	if err != nil {
		return err
	}
	defer daemons.close()
	b.options.Targets = daemons.targets
	var accesses *workload.Process
	if b.options.Images, accesses, err = b.sources.resolve(cmd.Context(), daemons.targets[0].Client); err != nil {
		return err
	}
	if b.arrivals == "trace" {
		if accesses == nil {
			return errors.New("--arrivals trace: --trace names no public trace with times of its own")
		}
		b.options.Process = accesses.Faster(b.speed)
	}
	lines := newBenchProgress(cmd.ErrOrStderr())
	b.options.Progress = lines.show
	result, err := bench.Run(cmd.Context(), b.options)
	lines.finish()
	if result == nil {
		return err
	}
	result.Version, result.Command = versionText(), "cached "+strings.Join(shellWords(os.Args[1:]), " ")
	return errors.Join(err, b.outputs.write(cmd.OutOrStdout(), result), result.Failure(allowed))
}

// parse turns the flags into options, and returns the share of reads that may fail.
func (b *benchCommand) parse(cmd *cobra.Command) (allowed float64, err error) {
	o := &b.options
	o.Unit, o.Order = bench.Reads, bench.Order(b.order)
	if b.starts {
		o.Unit = bench.Starts
	}
	switch {
	case len(b.sources.images) == 0:
		return 0, errors.New("give an --image to read (`cached images ls` shows them; `cached bench images` makes some)")
	case b.arrivals == "" && o.Clients == 0:
		return 0, errors.New("give --arrivals for an open loop, as in --arrivals poisson:100/s, or --clients N for a closed one")
	case b.arrivals != "" && o.Clients != 0:
		return 0, errors.New("--arrivals is an open loop, --clients a closed one: give one of them")
	case o.Session && !b.starts:
		return 0, errors.New("--session goes with --starts")
	case b.starts && cmd.Flags().Changed("order"):
		return 0, errors.New("--order is of single reads: a start reads in its own")
	case !(b.speed > 0):
		return 0, fmt.Errorf("--speed %g: want more than 0", b.speed)
	case b.order != string(bench.InOrder) && b.order != string(bench.Random):
		return 0, fmt.Errorf("--order %q: want trace or random", b.order)
	}
	if o.VerifyEvery, err = parseEvery(b.verify); err != nil {
		return 0, fmt.Errorf("--verify %w", err)
	}
	if allowed, err = parseShare(b.allowed); err != nil {
		return 0, fmt.Errorf("--allow-errors %w", err)
	}
	if b.arrivals != "" && b.arrivals != "trace" {
		if o.Process, err = parseArrivals(b.arrivals); err != nil {
			return 0, fmt.Errorf("--%w", err)
		}
		o.Process = o.Process.Faster(b.speed)
	}
	return allowed, nil
}

func parseArrivals(text string) (*workload.Process, error) {
	file, replay := strings.CutPrefix(text, "replay:")
	if !replay {
		return workload.ParseProcess(text)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("arrivals: %w", err)
	}
	defer f.Close()
	p, err := workload.ReadReplay(file, f)
	if err != nil {
		return nil, fmt.Errorf("arrivals: %s: %w", file, err)
	}
	return p, nil
}

// parseEvery reads a share as "each so manieth".
func parseEvery(text string) (int, error) {
	switch text {
	case "all":
		return 1, nil
	case "none":
		return 0, nil
	}
	of, found := strings.CutPrefix(text, "1/")
	n, err := strconv.Atoi(of)
	if !found || err != nil || n < 1 {
		return 0, fmt.Errorf("%q: want all, none or 1/N", text)
	}
	return n, nil
}

// parseShare reads "5%".
func parseShare(text string) (float64, error) {
	number, found := strings.CutSuffix(text, "%")
	f, err := strconv.ParseFloat(number, 64)
	if !found || err != nil || !(f >= 0 && f <= 1000) {
		return 0, fmt.Errorf("%q: want a percentage, as in 5%%", text)
	}
	return f / 100, nil
}

// shellWords quotes words that a shell would not take as they are.
func shellWords(words []string) []string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = w
		if w == "" || strings.ContainsAny(w, " \t\n'\"\\$&|;<>()*?[]#~`!{}") {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return quoted
}
