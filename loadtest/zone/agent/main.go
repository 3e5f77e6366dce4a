// Command agent reads an image from the daemon of its host as a host agent does
// when a container starts, checks every block, and tells what it got.
//
// It connects, prints "ready", and waits for a line on standard input, so that
// many agents can start at the same moment. Then it opens the image and reads
// its blocks, in order and several at once; with -loop in random order, again
// and again, until standard input ends. The last line it prints is "result" and
// a [report.Report] as JSON.
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
	flag.IntVar(&a.blocks, "blocks", 0, "read only the first `N` blocks; 0: all")
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
	fmt.Println("ready")
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadString('\n'); err != nil {
		return fmt.Errorf("no start signal: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if *loop {
		go func() {
			_, _ = io.Copy(io.Discard, in)
			stop()
		}()
		a.loop(ctx, *pause)
	} else {
		if a.blocks == 0 {
			a.ahead = cachedv1.ReadAhead_READ_AHEAD_IMAGE
		}
		a.whole(ctx)
	}
	out, err := json.Marshal(a.report())
	if err != nil {
		return err
	}
	fmt.Printf("result %s\n", out)
	return nil
}
