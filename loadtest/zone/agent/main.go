// Command agent reads an image from the daemon of its host as a host agent does
// when a container starts, checks every block, and tells what it got.
//
// It connects, prints "ready", and waits for a line on standard input, so that
// many agents can start at the same moment. Then it opens the image and reads
// its blocks, in order and several at once; with -blocks some of them only, in an
// image that was opened before; with -loop in random order, again and again,
// until standard input ends. The last line it prints is "result" and a
// [report.Report] as JSON.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
}

func run() error {
	var a agent
	server := flag.String("server", api.DefaultURL, "`URL` of the daemon")
	flag.StringVar(&a.image, "image", "", "`NAME` of the image")
	flag.IntVar(&a.parallel, "parallel", 16, "reads at once")
	flag.IntVar(&a.blocks, "blocks", 0, "read only `N` blocks of an image opened before the start signal; 0: all, the image opened after it")
	flag.IntVar(&a.skip, "skip", 0, "read from block `N` on")
	flag.DurationVar(&a.timeout, "timeout", time.Minute, "longest a read may take")
	flag.DurationVar(&a.patience, "patience", 0, "how long to ask again while no daemon listens")
	loop := flag.Bool("loop", false, "read at random until standard input ends")
	pause := flag.Duration("pause", 0, "with -loop: rest of each reader between two reads")
	flag.Parse()

	client, err := api.NewClient(*server, api.ClientOptions{})
	if err != nil {
		return err
	}
	defer client.Close()
	a.client = client
	if _, err := client.Status(context.Background()); err != nil {
		return err
	}
	var ids []block.ID
	if a.blocks > 0 {
		ids = a.open(context.Background(), cachedv1.ReadAhead_READ_AHEAD_UNSPECIFIED)
	}
	fmt.Println("ready")
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadString('\n'); err != nil {
		return fmt.Errorf("no start signal: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	a.start, a.began = time.Now(), processorTime()
	switch {
	case *loop:
		go func() {
			_, _ = io.Copy(io.Discard, in) // until the one who started this one has seen enough
			stop()
		}()
		// What has begun is finished, also where the end comes first: it must not fail.
		opening, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.timeout)
		ids := a.open(opening, cachedv1.ReadAhead_READ_AHEAD_UNSPECIFIED)
		cancel()
		a.loop(ctx, ids, *pause)
	case a.blocks > 0:
		a.inOrder(ctx, ids)
	default:
		a.inOrder(ctx, a.open(ctx, cachedv1.ReadAhead_READ_AHEAD_IMAGE))
	}
	out, err := json.Marshal(a.report())
	if err != nil {
		return err
	}
	fmt.Printf("result %s\n", out)
	return nil
}
