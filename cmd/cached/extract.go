package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/zonecache/cached/agent"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/image"
	"github.com/zonecache/cached/unpack"
)

// An extractCommand is what `cached read --extract` was told.
type extractCommand struct {
	dir        string
	workload   string
	maxBytes   Size
	maxEntries int
	asJSON     bool
}

func (c *extractCommand) addFlags(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&c.dir, "extract", "", "unpack a code package (zip, tar, tar.gz, tar.zst) into `DIR`, which is made or must be empty")
	fs.StringVar(&c.workload, "workload", "", "with --extract: `NAME` of the function that will run; what its starts read is learned and read ahead of later ones")
	c.maxBytes = unpack.DefaultMaxBytes
	fs.Var(&c.maxBytes, "max-size", "with --extract: what the files of the package may have together")
	fs.IntVar(&c.maxEntries, "max-entries", unpack.DefaultMaxEntries, "with --extract: how many entries the package may have")
	fs.BoolVar(&c.asJSON, "json", false, "with --extract: print the result as JSON and no progress")
}

// check says which flags do not go together, before anything happens.
func (c *extractCommand) check(cmd *cobra.Command) error {
	extract := cmd.Flags().Changed("extract")
	with, without := []string{"workload", "max-size", "max-entries", "json"}, []string{"offset", "length", "output"}
	for _, name := range with {
		if cmd.Flags().Changed(name) && !extract {
			return fmt.Errorf("read: --%s goes with --extract DIR", name)
		}
	}
	for _, name := range without {
		if cmd.Flags().Changed(name) && extract {
			return fmt.Errorf("read: --%s does not go with --extract, which unpacks the whole image", name)
		}
	}
	switch {
	case extract && c.dir == "":
		return errors.New("read: --extract: want a directory")
	case c.maxBytes < 1 || c.maxEntries < 1:
		return fmt.Errorf("read: --max-size %s, --max-entries %d: both must be positive", c.maxBytes, c.maxEntries)
	}
	return nil
}

// An extracted is a result as scripts read it.
type extracted struct {
	Image    string  `json:"image"`
	Manifest string  `json:"manifest_id"`
	Dir      string  `json:"dir"`
	Form     string  `json:"form"`
	Packed   int64   `json:"packed_bytes"`
	Entries  int     `json:"entries"`
	Bytes    int64   `json:"bytes"`
	Seconds  float64 `json:"seconds"` // from opening the image to the tree in its place
}

// run unpacks the image of o, which is opened for one start.
func (c *extractCommand) run(cmd *cobra.Command, o agent.Options) (err error) {
	began := time.Now()
	if o.Workload = c.workload; o.Workload == "" {
		o.ReadAhead = cachedv1.ReadAhead_READ_AHEAD_IMAGE
	}
	img, err := openImage(cmd.Context(), o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	if img.Manifest().MediaType == image.MediaTypeEROFS {
		return fmt.Errorf("read %s: it is a file system, not a code package: `cached mount %[1]s DIR` shows its tree, and without --extract its bytes are read", o.Image)
	}
	res, err := c.unpack(cmd.Context(), cmd.ErrOrStderr(), img)
	if err != nil {
		return err
	}
	x := extracted{o.Image, img.ID().String(), c.dir, string(res.Form), img.Size(), res.Entries, res.Bytes, time.Since(began).Seconds()}
	_ = img.MarkReady(cmd.Context()) // a daemon that has gone meanwhile learns nothing of it
	if c.asJSON {
		return printJSON(cmd.OutOrStdout(), x)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is in %s: %d entries, %s, from %s of %s in %.3f s\n",
		x.Image, x.Dir, x.Entries, humanize.IBytes(uint64(x.Bytes)), x.Form, humanize.IBytes(uint64(x.Packed)), x.Seconds)
	return err
}

func (c *extractCommand) unpack(ctx context.Context, stderr io.Writer, img *agent.Image) (unpack.Result, error) {
	bar := newProgress(stderr)
	if c.asJSON {
		bar = newProgress(io.Discard)
	}
	defer bar.finish()
	res, err := unpack.Into(ctx, img, c.dir, unpack.Options{
		MaxBytes: int64(c.maxBytes), MaxEntries: c.maxEntries,
		Progress: func(done, total int64) { bar.update("unpacking", done, total) },
	})
	switch {
	case errors.Is(err, unpack.ErrLimit):
		return res, fmt.Errorf("read %s: %w; if it is to be trusted, raise --max-size or --max-entries", img.Name(), err)
	case err != nil:
		return res, fmt.Errorf("read %s: %w", img.Name(), err)
	}
	return res, nil
}
