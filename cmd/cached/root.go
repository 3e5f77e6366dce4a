package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const rootLong = `cached makes cold starts fast: images are published once as content-addressed
blocks into an object store, and every host reads them block by block through
memory (L1), local disk (L2), the other hosts of its zone (L3) and the store (L4),
each block checked against its name on the way in.

Start here:
  cached demo                                  see it work on this machine, in a minute
  cached publish dir:/srv/app --name app:v1    cut a tree into blocks and store them
  cached serve                                 run this host's daemon
  cached mount app:v1 /mnt/app                 the image as a root filesystem, at once (as root)
  cached read app:v1 > app.erofs               read the image back through the daemon
  cached stats                                 who served what: hit rate by tier

Many hosts as one cache: cached serve --zone NAME --seed HOST:PORT, with certificates
from 'cached certs'; docs/zone.md shows three nodes on one machine.

Without any setting the object store is a folder in the data directory, which is
` + rootDataDir + ` for root and ~/` + userDataDir + ` for others. Use
--origin 's3://BUCKET?endpoint=https://HOST:PORT&region=R' (or CACHED_ORIGIN) for
an S3-compatible one.`

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "cached",
		Short:         "A zone-level block cache for serverless cold starts",
		Long:          rootLong,
		Version:       versionText(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetVersionTemplate("cached {{.Version}}\n")
	root.AddCommand(
		newServeCommand(), newPublishCommand(), newImagesCommand(), newTraceCommand(), newPrepareCommand(), newWarmCommand(), newPinCommand(), newUnpinCommand(), newPurgeCommand(),
		newReadCommand(),
		newMountCommand(), newUmountCommand(),
		newStatsCommand(), newExplainCommand(), newStatusCommand(), newDoctorCommand(), newDrillCommand(), newConfigCommand(), newDemoCommand(), newMetricsCommand(), newBenchCommand(),
		newCertsCommand(), newOwnCommand(), newVersionCommand(),
	)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
			err = errors.New(valueProblem("--"+bad.GetFlag().Name, bad.GetFlag(), bad.GetValue(), bad.Unwrap()))
		}
		return fmt.Errorf("%w: see `%s --help`", err, cmd.CommandPath())
	})
	sayUsage(root)
	return root
}

// sayUsage has commands say how they are called where they are called otherwise.
func sayUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return fmt.Errorf("%w: the command is `%s`", err, cmd.UseLine())
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		sayUsage(sub)
	}
}

func newVersionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this binary",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]string{"version": versionText(), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "cached %s (%s, %s/%s)\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// versionText is what the build was told, or what the module's own build
// information says after `go install`.
func versionText() string {
	if version == "devel" {
		if bi, ok := debug.ReadBuildInfo(); ok && bi.Main.Version != "" && bi.Main.Version != "(devel)" {
			return bi.Main.Version
		}
	}
	return version
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
