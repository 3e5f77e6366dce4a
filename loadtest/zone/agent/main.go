// Command agent reads an image from the daemon of its host as a host agent does
// when a container starts, checks every block, and tells what it got.
//
// It connects, prints "ready", and waits for a line on standard input, so that
// many agents can start at the same moment. Then it opens the image and reads
// its blocks, in order and several at once; with -blocks some of them only, in an
// image that was opened before; with -loop in random order, again and again,
// until standard input ends; with -ids those that a file lists, as a start of a
// workload that the daemon may know, or with -every each when it is due. With -origin
// it goes without a daemon. The last line it prints is "result" and a [report.Report]
// as JSON.
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
	origin := flag.String("origin", "", "read from the origin at this `URL`, and from no daemon")
	flag.StringVar(&a.image, "image", "", "`NAME` of the image")
	flag.StringVar(&a.workload, "workload", "", "`NAME` of what starts, with -ids")
	list := flag.String("ids", "", "read the blocks whose ids are the lines of `FILE`, of an image opened after the start signal unless there is none")
	every := flag.Duration("every", 0, "with -ids: begin a read at these distances, until all are read or standard input ends")
	flag.IntVar(&a.parallel, "parallel", 16, "reads at once")
	flag.IntVar(&a.blocks, "blocks", 0, "read only `N` blocks of an image opened before the start signal; 0: all, the image opened after it")
	flag.IntVar(&a.skip, "skip", 0, "read from block `N` on")
	flag.DurationVar(&a.timeout, "timeout", time.Minute, "longest a read may take")
	flag.DurationVar(&a.patience, "patience", 0, "how long to ask again while no daemon listens")
	loop := flag.Bool("loop", false, "read at random until standard input ends")
	pause := flag.Duration("pause", 0, "with -loop: rest of each reader between two reads")
	flag.Parse()

	from, err := openSource(context.Background(), *server, *origin)
	if err != nil {
		return err
	}
	defer from.Close()
	a.from = from
	var ids []block.ID
	switch {
	case *list != "":
		ids, err = readIDs(*list)
	case a.blocks > 0:
		ids = a.open(context.Background(), cachedv1.ReadAhead_READ_AHEAD_UNSPECIFIED)
	}
	if err != nil {
		return err
	}
	fmt.Println("ready")
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadString('\n'); err != nil {
		return fmt.Errorf("no start signal: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	a.start, a.began = time.Now(), processorTime()
	if *loop || *every > 0 {
		go func() {
			_, _ = io.Copy(io.Discard, in) // until the one who started this one has seen enough
			stop()
		}()
	}
	switch {
	case *list != "":
		if a.image != "" {
			a.open(ctx, cachedv1.ReadAhead_READ_AHEAD_UNSPECIFIED)
		}
		if *every > 0 {
			a.onTime(ctx, ids, *every)
		} else {
			a.inOrder(ctx, ids)
		}
	case *loop:
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
