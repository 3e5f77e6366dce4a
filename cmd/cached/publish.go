package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/zonecache/cached/image"
	"github.com/zonecache/cached/image/source"
	"github.com/zonecache/cached/tiers/origin"
)

func newPublishCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "publish SOURCE --name NAME",
		Short: "Cut an image into blocks and store what the origin lacks",
		Long: `Cut an image into content-addressed blocks, upload those the origin does not have,
and let NAME point at the result. SOURCE is one of

  dir:PATH                    a directory tree
  tar:FILE[.gz|.zst]          a tree in a tar archive
  oci:LAYOUT[:tag]            an image in an OCI layout
  oci-archive:FILE            the same as one tar file
  docker-archive:FILE         what docker save writes
  docker://REF                an image in a registry; credentials as docker and podman keep them
  file:PATH                   any bytes: a code package, a virtual machine's memory

Trees and container images become one read-only EROFS file system. The same source
gives the same manifest id on any machine. An interrupted publish is resumed by
repeating it; the name moves last. No daemon is needed.

A machine's memory is read a few pages here and a few there: --cut pages stores it in
pieces of 16 KiB, so that little comes along with them. Anything else is better cut
where its content says.

With --prepare the daemon at --server, which must have the same origin, is asked to
bring what starts need to its host or zone once the name has moved, as by 'cached
prepare': the first start is then not the slow one. When it cannot be asked the image
is published all the same, and the exit status says that it is not prepared.`,
		Example: `  cached publish dir:/srv/app --name app:v1
  cached publish file:/srv/vm.memory --name vm:v1-memory --cut pages
  cached publish docker://registry.example/team/app:v1 --name app:v1 \
    --origin 's3://images?endpoint=https://minio.example:9000&region=eu-1'
  cached publish dir:/srv/app --name app:v1 --prepare --server http://host-a:7070`,
		Args: cobra.ExactArgs(1),
	}
	load := addConfigFlags(cmd, bindOriginFlags)
	server := addServerFlag(cmd)
	prepare := cmd.Flags().Bool("prepare", false, "have the daemon at --server prepare the image, and wait for it")
	until := addWaitFlag(cmd, "with --prepare: return once it has begun")
	name := cmd.Flags().String("name", "", "`NAME` of the image (required)")
	platform := cmd.Flags().String("platform", "", "`OS/ARCH[/VARIANT]` to take from a multi-platform image (default: this machine's)")
	asJSON := cmd.Flags().Bool("json", false, "print the result as JSON and no progress")
	cut := cmd.Flags().String("cut", "content", "where to cut: content, or pages for a machine's memory (file: only)")
	verify := cmd.Flags().Bool("verify", false, "read back every block the origin has already and replace damaged ones; without it only lengths are compared")
	if err := cmd.MarkFlagRequired("name"); err != nil {
		panic(err) // the flag is defined above
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if until() == untilBegun && !*prepare {
			return errors.New("--no-wait is about --prepare, which was not given")
		}
		cfg, err := load()
		if err != nil {
			return err
		}
		src, err := source.Parse(args[0], source.Options{Platform: *platform})
		if err != nil {
			return err
		}
		bar := newProgress(cmd.ErrOrStderr())
		if *asJSON {
			bar = newProgress(io.Discard)
		}
		opts := image.PublishOptions{Name: *name}
		if opts.Cut, err = parseCut(*cut, args[0]); err != nil {
			return err
		}
		if *verify {
			opts.Verify = image.VerifyBytes
		}
		res, err := publishTo(cmd.Context(), cfg, src, opts, bar)
		bar.finish()
		if err != nil {
			return err
		}
		row := newPublished(*name, res)
		if !*asJSON {
			if err := printResult(cmd.OutOrStdout(), *name, res); err != nil {
				return err
			}
		}
		var problem error
		if *prepare {
			row.Prepared, problem = preparePublished(cmd.Context(), *server, row, until(), bar)
		}
		switch {
		case *asJSON:
			err = printJSON(cmd.OutOrStdout(), row)
		case row.Prepared != nil && problem == nil:
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "  prepared   %s, %s in %d blocks\n", row.Prepared.State, bytesText(int64(row.Prepared.BytesDone)), row.Prepared.BlocksDone)
		}
		return errors.Join(err, problem)
	}
	return cmd
}

// parseCut returns where the source is cut.
func parseCut(text, src string) (image.Cut, error) {
	switch {
	case text == "content":
		return image.CutContent, nil
	case text != "pages":
		return 0, fmt.Errorf("publish: --cut %q: want content or pages", text)
	case !strings.HasPrefix(src, "file:"):
		return 0, fmt.Errorf("publish: --cut pages goes with file:PATH, not %s", src)
	}
	return image.CutPages, nil
}

// publishTo publishes src to the first configured origin.
func publishTo(ctx context.Context, cfg Config, src image.Source, opts image.PublishOptions, bar *progress) (res image.Result, err error) {
	if err := prepareOrigin(cfg); err != nil {
		return res, err
	}
	opts.Logger = cfg.Log.newLogger(os.Stderr)
	opts.Progress = func(p image.Progress) {
		stage := string(p.Stage)
		if p.Detail != "" {
			stage += ", " + p.Detail
		}
		bar.update(stage, p.Done, p.Total)
	}
	err = withOrigin(ctx, cfg, func(o *origin.Origin) error {
		// Before the source is read: a wrong key or bucket is known at once.
		if err := o.Origins()[0].Check(ctx); err != nil {
			return err
		}
		opts.Target = o
		res, err = image.Publish(ctx, src, opts)
		return err
	})
	return res, err
}

// A published is a result as scripts read it.
type published struct {
	Name          string  `json:"name"`
	Manifest      string  `json:"manifest_id"`
	Size          int64   `json:"size"`
	Stored        int64   `json:"stored_size"`
	Blocks        int     `json:"blocks"`
	NewBlocks     int     `json:"new_blocks"`
	NewBytes      int64   `json:"new_bytes"`
	SharedBlocks  int     `json:"shared_blocks"`
	SharedBytes   int64   `json:"shared_bytes"`
	SharedPercent float64 `json:"shared_percent"`
	Repeated      int     `json:"repeated_blocks"`
	Seconds       float64 `json:"seconds"`
	// Prepared is what became of preparing it; absent if nobody was to, or could.
	Prepared *preparedRow `json:"prepared,omitempty"`
}

func newPublished(name string, r image.Result) published {
	return published{
		name, r.Manifest.String(), r.Raw, r.Stored, r.Blocks, r.New.Blocks, r.New.Stored,
		r.Shared.Blocks, r.Shared.Stored, r.SharedPercent(), r.Repeated.Blocks, (r.Prepare + r.Upload).Seconds(), nil,
	}
}

func printResult(w io.Writer, name string, r image.Result) error {
	bytes := func(n int64) string { return humanize.IBytes(uint64(n)) }
	_, err := fmt.Fprintf(w, `%s is %s
  image      %s in %d blocks, stored as %s
  new        %d blocks, %s uploaded
  shared     %d blocks, %s the origin had already (%.1f %% of the stored bytes)
  repeated   %d blocks within the image, %s of its bytes
  took       %.1f s to read the source, %.1f s to cut, compress and upload (%s/s)
`, name, r.Manifest, bytes(r.Raw), r.Blocks, bytes(r.Stored),
		r.New.Blocks, bytes(r.New.Stored), r.Shared.Blocks, bytes(r.Shared.Stored), r.SharedPercent(),
		r.Repeated.Blocks, bytes(r.Repeated.Raw), r.Prepare.Seconds(), r.Upload.Seconds(),
		bytes(int64(float64(r.Raw)/max(r.Upload.Seconds(), 1e-3))))
	return err
}

// prepareOrigin creates the folder that is published to. Only the default one is
// created with its parents: those of another may be a disk that is not mounted.
func prepareOrigin(cfg Config) error {
	if dir := cfg.ownOrigin(); dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("origin: %w", err)
		}
		return nil
	}
	if u, err := url.Parse(cfg.Origins[0]); err == nil && u.Scheme == "file" && filepath.IsAbs(u.Path) {
		return makeDir("origin", filepath.Clean(u.Path))
	}
	return nil
}
