package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const envPrefix = "CACHED_"

// bindOriginFlags adds the settings shared by every command that opens the
// origin itself.
func bindOriginFlags(fs *pflag.FlagSet, c *Config) {
	fs.StringArrayVar(&c.Origins, "origin", c.Origins, "origin `URL`, file:///PATH or s3://BUCKET[/PREFIX]?endpoint=..&region=..; repeat for fail-over (default: a folder in the data directory)")
	fs.StringVar(&c.DataDir, "data-dir", c.DataDir, "`DIR` for the disk cache and the default origin")
}

// bindFlags adds every setting of c. The flag --l1-size is the environment
// variable CACHED_L1_SIZE.
func bindFlags(fs *pflag.FlagSet, c *Config) {
	bindOriginFlags(fs, c)
	fs.StringVar(&c.Listen, "listen", c.Listen, "`ADDR` of the block-read RPC (HTTP/1.1 and h2c); empty: none, where there is a --socket")
	bindSocketFlags(fs, &c.Socket)
	fs.StringVar(&c.Admin, "admin", c.Admin, "`ADDR` of /metrics, /healthz and /readyz, and for programs of this host of the status page and /debug/pprof")
	fs.Var(&c.L1.Size, "l1-size", "memory for blocks; 0 turns L1 off")
	fs.Var(&c.L2.Size, "l2-size", "disk space for blocks; 0 turns L2 off")
	fs.StringVar(&c.L2.Dir, "l2-dir", c.L2.Dir, "`DIR` of the disk cache (default: l2 in the data directory)")
	fs.Var(&c.L2.MinFree, "l2-min-free", "free space L2 leaves on its file system")
	fs.Var(&c.L2.WriteBudgetPerDay, "l2-write-budget-per-day", "bytes L2 may write a day, to spare the flash; 0: no limit")
	fs.BoolVar(&c.Prefetch, "prefetch", c.Prefetch, "learn what starts read of their images, keep that in the origin, and read ahead of later starts")
	bindAuthFlags(fs, c)
	bindZoneFlags(fs, &c.Zone)
	fs.IntVar(&c.Limits.OriginReads, "origin-reads", c.Limits.OriginReads, "reads of the origin in progress at most; fewer while it is slow")
	fs.IntVar(&c.Limits.InFlight, "in-flight", c.Limits.InFlight, "requests in progress at most; more are refused as overload")
	fs.StringArrayVar(&c.Metrics.Tenants, "metrics-tenants", c.Metrics.Tenants, "`TENANT` whose reads and bytes /metrics shows apart; repeat for more; all others are shown together")
	fs.StringVar(&c.Tracing.Endpoint, "tracing-endpoint", c.Tracing.Endpoint, "`URL` of an OpenTelemetry collector that takes OTLP over HTTP, as in http://127.0.0.1:4318; none: no traces")
	fs.Float64Var(&c.Tracing.Sample, "tracing-sample", c.Tracing.Sample, "share of the calls that are traced, of those that bring no trace of their own; 0 to 1")
	fs.StringVar(&c.Log.Level, "log-level", c.Log.Level, either(wordsOf("log.level")))
	fs.StringVar(&c.Log.Format, "log-format", c.Log.Format, either(wordsOf("log.format")))
	fs.DurationVar(&c.Shutdown.DrainTimeout, "drain-timeout", c.Shutdown.DrainTimeout, "how long reads in progress may take after SIGTERM")
}

// addConfigFlags gives cmd a --config flag and the flags of bind, and returns
// how to load what they, the environment and the file say.
func addConfigFlags(cmd *cobra.Command, bind func(*pflag.FlagSet, *Config)) func() (Config, error) {
	addSettings(cmd.Flags(), bind)
	file := cmd.Flags().String("config", os.Getenv(envPrefix+"CONFIG"), "YAML `FILE` with settings (env CACHED_CONFIG)")
	return func() (Config, error) { return loadConfig(*file, os.LookupEnv, cmd.Flags()) }
}

// envName is the environment variable of a flag.
func envName(f *pflag.Flag) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
}

// loadConfig layers defaults, file, environment and the flags that were given. All
// that is wrong is told at once.
func loadConfig(file string, env func(string) (string, bool), given *pflag.FlagSet) (Config, error) {
	c := Default()
	var doc []byte
	var wrong misconfiguration
	if file != "" {
		var err error
		if doc, err = os.ReadFile(file); err != nil {
			return c, fmt.Errorf("config: %w", err)
		}
		if err := c.mergeYAML(doc); err != nil {
			for text := range strings.Lines(err.Error()) {
				wrong = append(wrong, file+": "+strings.TrimSpace(text))
			}
		}
	}
	all := pflag.NewFlagSet("config", pflag.ContinueOnError)
	bindFlags(all, &c)
	set := func(f *pflag.Flag, words []string, from string) {
		was := f.Value.String()
		if err := setFlag(f, words); err != nil {
			_ = f.Value.Set(was) // some are 0 now, which would be told as well
			key, unknown := keyOf(f)
			if unknown != nil {
				key = f.Name
			}
			wrong = append(wrong, fmt.Sprintf("%s (%s)", valueProblem(key, f, strings.Join(words, " "), err), from))
		}
	}
	all.VisitAll(func(f *pflag.Flag) {
		if v, ok := env(envName(f)); ok && v != "" {
			set(f, strings.Fields(v), "environment "+envName(f))
		}
		if g := given.Lookup(f.Name); g != nil && g.Changed {
			set(f, flagValues(g), "flag --"+f.Name)
		}
	})
	warnOfTypos(all, os.Environ(), os.Stderr)
	if more := c.validate(); len(more) > 0 {
		from := whenceOf(file, doc, env, given)
		for _, text := range more {
			wrong = append(wrong, from.add(text))
		}
	}
	if err := wrong.err(); err != nil {
		return c, err
	}
	c.complete()
	return c, nil
}

// setFlag replaces a flag's value; only lists take more than one word.
func setFlag(f *pflag.Flag, words []string) error {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return list.Replace(words)
	}
	return f.Value.Set(strings.Join(words, " "))
}

func flagValues(f *pflag.Flag) []string {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return list.GetSlice()
	}
	return []string{f.Value.String()}
}

// serviceLink is what Kubernetes puts into the environment of pods for a Service
// called cached or cached-something.
var serviceLink = regexp.MustCompile(`_SERVICE_(HOST|PORT)|^CACHED_PORT|_PORT(_[0-9]+_(TCP|UDP).*)?$`)

// warnOfTypos names variables that look like settings and are none. They are no
// errors, since others may have put them there.
func warnOfTypos(all *pflag.FlagSet, environ []string, w io.Writer) {
	known := map[string]bool{"CONFIG": true, "SERVER": true, "CA": true, "CERT_DIR": true, "TOKEN_FILE": true, "KEEP": true, "TOOLS": true, "PROVE": true}
	all.VisitAll(func(f *pflag.Flag) { known[strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))] = true })
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		setting, ours := strings.CutPrefix(name, envPrefix)
		if ours && value != "" && !known[setting] && !serviceLink.MatchString(name) {
			fmt.Fprintf(w, "cached: the environment variable %s is not a setting; `cached serve --help` lists them: --l1-size is CACHED_L1_SIZE\n", name)
		}
	}
}
