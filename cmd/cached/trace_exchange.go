package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/prefetch"
	"github.com/zonecache/cached/tiers"
	"github.com/zonecache/cached/tiers/origin"
)

// The forms of traces outside of the origin.
const (
	formJSON      = "json"
	formOverlaybd = "overlaybd"
)

// workloadFlag names the workload of a command.
func workloadFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("workload", "", "`NAME` of the program or function, as its agent gives it")
}

func newTraceShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show IMAGE",
		Short: "Show the traces of a workload, the latest first",
		Args:  cobra.ExactArgs(1),
	}
	workload := workloadFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print JSON, with every touch")
	onTraced(cmd, func(args []string, t traced) error {
		traces, err := t.of(cmd.Context(), *workload)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), traces)
		}
		return t.print(cmd.OutOrStdout(), traces)
	})
	return cmd
}

func (t traced) print(w io.Writer, traces []*prefetch.Trace) error {
	profile, err := prefetch.Merge(traces)
	if err != nil {
		return err
	}
	essential := map[uint32]bool{}
	for _, i := range profile.Essential(prefetch.DefaultShare) {
		essential[i] = true
	}
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "BEGAN\tBLOCKS\tBYTES\tLAST NEW ONE\tESSENTIAL")
	for _, trace := range traces {
		blocks, among := make([]uint32, len(trace.Touches)), 0
		for i, touch := range trace.Touches {
			if blocks[i] = touch.Block; essential[touch.Block] {
				among++
			}
		}
		last := time.Duration(0)
		if n := len(trace.Touches); n > 0 {
			last = trace.Touches[n-1].After
		}
		fmt.Fprintf(tw, "%s\t%d\t%s\tafter %v\t%d of %d\n", trace.Began.Format(time.RFC3339), len(blocks), humanize.IBytes(t.stored(blocks)), last, among, len(essential))
	}
	return tw.Flush()
}

func newTraceExportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export IMAGE [FILE]",
		Short: "Write the latest trace of a workload to a file or to the output",
		Long: `Write the latest trace of a workload to a file or to the output: as JSON, or as a
trace that overlaybd replays on a device with the image's bytes.`,
		Example: `  cached trace export flask:v1 --workload serve > serve.json
  cached trace export flask:v1 --workload serve --format overlaybd serve.trace`,
		Args: cobra.RangeArgs(1, 2),
	}
	workload := workloadFlag(cmd)
	form := cmd.Flags().String("format", formJSON, "json or overlaybd")
	onTraced(cmd, func(args []string, t traced) error {
		traces, err := t.of(cmd.Context(), *workload)
		if err != nil {
			return err
		}
		p, err := t.encode(traces[0], *form)
		if err != nil {
			return err
		}
		if len(args) == 1 {
			_, err = cmd.OutOrStdout().Write(p)
			return err
		}
		return os.WriteFile(args[1], p, 0o644)
	})
	return cmd
}

func (t traced) encode(trace *prefetch.Trace, form string) ([]byte, error) {
	switch form {
	case formJSON:
		p, err := json.MarshalIndent(trace, "", "  ")
		return append(p, '\n'), err
	case formOverlaybd:
		ranges := make([]prefetch.Range, 0, len(trace.Touches))
		for _, touch := range trace.Touches {
			ranges = append(ranges, prefetch.Range{
				Offset: uint64(t.manifest.Offset(int(touch.Block))), Length: uint64(t.manifest.Blocks[touch.Block].Length),
			})
		}
		return prefetch.EncodeOverlaybd(ranges), nil
	}
	return nil, fmt.Errorf("--format %q: want json or overlaybd", form)
}

func newTraceImportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import IMAGE FILE",
		Short: "Add a trace to the profile of a workload",
		Long: `Add a trace to the profile of a workload, as if one of its starts had been recorded.

JSON is what export writes; its image must be this one. A trace of overlaybd says
which bytes of a device were read: those of the image, if the device is made of it.`,
		Example: "  cached trace import flask:v1 serve.json --workload serve --origin file:///srv/images",
		Args:    cobra.ExactArgs(2),
	}
	workload := workloadFlag(cmd)
	form := cmd.Flags().String("format", formJSON, "json or overlaybd")
	onTraced(cmd, func(args []string, t traced) error {
		p, err := os.ReadFile(args[1])
		if err != nil {
			return err
		}
		trace, err := t.decode(p, *form)
		if err != nil {
			return fmt.Errorf("%s: %w", args[1], err)
		}
		if cmd.Flags().Changed("workload") {
			trace.Workload = *workload
		}
		library := prefetch.NewLibrary(prefetch.LibraryOptions{Shelf: originShelf{t.origin}, Reader: tiers.Verify(t.origin)})
		var names []string
		if t.name != "" {
			names = append(names, t.name)
		}
		if err := library.Learn(cmd.Context(), trace, names); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "added %d touches to the profile of %s, workload %s\n", len(trace.Touches), args[0], cmp.Or(trace.Workload, "(none named)"))
		return nil
	})
	return cmd
}

// decode reads a trace of the image.
func (t traced) decode(p []byte, form string) (*prefetch.Trace, error) {
	switch form {
	case formJSON:
		var trace prefetch.Trace
		if err := json.Unmarshal(p, &trace); err != nil {
			return nil, fmt.Errorf("it is no trace in JSON (--format overlaybd reads the other form): %w", err)
		}
		if trace.Image != t.id {
			return nil, fmt.Errorf("it is a trace of the image %s, not of %s", trace.Image.Short(), t.id.Short())
		}
		if int(trace.Blocks) != len(t.manifest.Blocks) {
			return nil, fmt.Errorf("it is a trace of %d blocks, the image has %d", trace.Blocks, len(t.manifest.Blocks))
		}
		return &trace, nil
	case formOverlaybd:
		ranges, err := prefetch.DecodeOverlaybd(p)
		if err != nil {
			return nil, err
		}
		return t.fromRanges(ranges)
	}
	return nil, fmt.Errorf("--format %q: want json or overlaybd", form)
}

// fromRanges makes a trace of the blocks that ranges touch, which say nothing of time.
func (t traced) fromRanges(ranges []prefetch.Range) (*prefetch.Trace, error) {
	trace := &prefetch.Trace{Image: t.id, Began: time.Now().UTC().Truncate(time.Millisecond), Blocks: uint32(len(t.manifest.Blocks))}
	seen := map[int]bool{}
	for i, r := range ranges {
		if r.Length > uint64(t.manifest.Size) || r.Offset > uint64(t.manifest.Size)-r.Length {
			return nil, fmt.Errorf("read %d, of %d bytes at %d, is beyond the image's %d bytes", i, r.Length, r.Offset, t.manifest.Size)
		}
		if r.Length == 0 {
			continue
		}
		first, _ := t.manifest.Locate(int64(r.Offset))
		last, _ := t.manifest.Locate(int64(r.Offset + r.Length - 1))
		for b := first; b <= last; b++ {
			if !seen[b] {
				seen[b] = true
				trace.Touches = append(trace.Touches, prefetch.Touch{Block: uint32(b)})
			}
		}
	}
	return trace, nil
}

func newTraceRemoveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rm IMAGE",
		Short: "Forget the starts of a workload",
		Args:  cobra.ExactArgs(1),
	}
	workload := workloadFlag(cmd)
	onTraced(cmd, func(args []string, t traced) error {
		if _, err := t.of(cmd.Context(), *workload); err != nil {
			return err
		}
		if err := removeTraces(cmd, t.origin, t.id, *workload); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "forgot the starts of %s, workload %s; daemons notice within a minute\n", args[0], cmp.Or(*workload, "(none named)"))
		return nil
	})
	return cmd
}

func removeTraces(cmd *cobra.Command, o *origin.Origin, manifest block.ID, workload string) error {
	w := origin.Workload{Manifest: manifest, Name: workload}
	names, err := o.Traces(cmd.Context(), w)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := o.DeleteTrace(cmd.Context(), w, name); err != nil {
			return err
		}
	}
	return o.DeleteProfile(cmd.Context(), w)
}
