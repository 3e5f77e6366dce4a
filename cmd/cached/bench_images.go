package main

import (
	"context"
	"fmt"
	"io"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/zonecache/cached/image"
	"github.com/zonecache/cached/loadtest/workload"
)

func newBenchImagesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "images",
		Short: "Publish made-up images whose sizes and shared bytes are like a fleet's",
		Long: `Publish made-up images, named bench-0000 and so on, for loads without images of one's
own. Sizes are log-normal around --median, and three quarters of the images have less
than 5 % of their bytes to themselves, as AWS Lambda reports of its own; the others up
to all but a few. The bytes follow from --seed; half of them compress away.

They are names and blocks like any others: 'cached images rm' removes the names.`,
		Example: `  cached bench images --count 12 --median 32MiB --origin file:///srv/images
  for n in 0 1 2 3; do set -- "$@" --image bench-000$n; done
  cached bench "$@" --zipf 1 --starts --arrivals poisson:2/s --duration 60s`,
		Args: cobra.NoArgs,
	}
	load := addConfigFlags(cmd, bindOriginFlags)
	n := cmd.Flags().Int("count", 12, "`N` images")
	median := cmd.Flags().String("median", "32MiB", "`SIZE` that half of the images have at most")
	sigma := cmd.Flags().Float64("sigma", 0, "`DEVIATION` of the logarithm of the sizes (default 0.9)")
	seed := cmd.Flags().Uint64("seed", 1, "where random numbers begin")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		size, err := humanize.ParseBytes(*median)
		if err != nil {
			return fmt.Errorf("--median %q: want a size, as in 32MiB", *median)
		}
		fleet, err := workload.Fleet(workload.FleetOptions{Images: *n, Median: int64(size), Sigma: *sigma}, *seed)
		if err != nil {
			return err
		}
		bar := newProgress(cmd.ErrOrStderr())
		for _, one := range fleet {
			res, err := publishTo(cmd.Context(), cfg, madeImage{one}, image.PublishOptions{Name: one.Name}, bar)
			if err != nil {
				bar.finish()
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s  %s, %s uploaded\n", one.Name, bytesText(one.Size()), bytesText(res.New.Stored))
		}
		bar.finish()
		return nil
	}
	return cmd
}

// A madeImage is an image that is made up, as a source.
type madeImage struct{ workload.FleetImage }

// Open implements [image.Source].
func (i madeImage) Open(context.Context, func(image.Progress)) (*image.Content, error) {
	return &image.Content{
		MediaType: image.MediaTypeBytes, Source: "bench:" + i.Name, Size: i.Size(), Starts: []int64{i.Shared}, Bytes: io.NopCloser(i.Reader()),
	}, nil
}
