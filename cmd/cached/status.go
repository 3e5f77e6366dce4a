package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
)

func newStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what the daemon is and whether it is well",
		Long: `Show what the daemon is and whether it is well. The exit status, with --json too, is 0 where it
is ready, 3 where it answers and is not ready (it starts, drains, or reaches no origin: only
cached blocks are served), and 1 where it does not answer. Warnings change nothing about it.`,
		Args: cobra.NoArgs,
	}
	server := addServerFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withClient(*server, func(client *api.Client) error {
			status, err := client.Status(cmd.Context())
			if err != nil {
				return err
			}
			if *asJSON {
				doc, err := protojson.MarshalOptions{Multiline: true, EmitUnpopulated: true, UseProtoNames: true}.Marshal(status)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), string(doc))
				return errors.Join(err, readiness(status))
			}
			return errors.Join(printStatus(cmd.OutOrStdout(), status), readiness(status))
		})
	}
	return cmd
}

// errNotReady is what `cached status` ends with where the daemon is not ready.
var errNotReady = errors.New("the daemon is not ready")

func readiness(s *cachedv1.GetStatusResponse) error {
	if len(s.GetNotReady()) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", errNotReady, oneLine(strings.Join(s.GetNotReady(), "; ")))
}

func printStatus(w io.Writer, s *cachedv1.GetStatusResponse) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if len(s.GetNotReady()) == 0 {
		fmt.Fprintln(tw, "state\tready")
	}
	for _, reason := range s.GetNotReady() {
		fmt.Fprintf(tw, "NOT READY\t%s\n", reason)
	}
	for _, warning := range s.GetWarnings() {
		fmt.Fprintf(tw, "WARNING\t%s\n", warning)
	}
	fmt.Fprintf(tw, "version\t%s\n", s.GetVersion())
	fmt.Fprintf(tw, "up\t%s\n", s.GetUptime().AsDuration().Round(time.Second))
	fmt.Fprintf(tw, "blocks\t%s\n", s.GetListenAddress())
	fmt.Fprintf(tw, "admin\thttp://%s\n", s.GetAdminAddress())
	fmt.Fprintf(tw, "sessions\t%d open\n", s.GetOpenSessions())
	for _, u := range s.GetTiers() {
		if u.GetCapacityBytes() > 0 {
			fmt.Fprintf(tw, "%s\t%s of %s\n", tierName(u.GetTier()), humanize.IBytes(u.GetUsedBytes()), humanize.IBytes(u.GetCapacityBytes()))
		}
	}
	for _, o := range s.GetOrigins() {
		state := "answers"
		if !o.GetHealthy() {
			state = "FAILING: " + o.GetProblem()
		}
		fmt.Fprintf(tw, "origin\t%s\t%s\n", o.GetUrl(), state)
	}
	if z := s.GetZone(); z != nil {
		printZone(tw, z)
	}
	return tw.Flush()
}
