// Command sim shows how long an image takes to reach the hosts of a zone that
// start it at once: with the very placement code of the product, and with models
// of what the field does, beside the least time that links and origin leave.
//
//	go run ./loadtest/sim -help                     # what there is
//	go run ./loadtest/sim start-1g                  # one scenario
//	go run ./loadtest/sim -protocol all start-1g    # beside the field
//
// The model is that of package spread; docs/simulator.md has the results.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"

	"github.com/zonecache/cached/loadtest/sim/spread"
)

func main() {
	switch err := run(os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "sim:", err)
		os.Exit(1)
	}
}

func run(args []string, out, log io.Writer) error {
	o, err := parse(args, out)
	if err != nil {
		return err
	}
	outcomes := simulate(o, log)
	if o.plot != "" {
		if err := os.WriteFile(o.plot, plot(outcomes), 0o644); err != nil {
			return err
		}
	}
	if o.json {
		err = printJSON(out, outcomes)
	} else {
		err = printTable(out, outcomes)
	}
	if err != nil {
		return err
	}
	for _, c := range outcomes {
		if c.Result.Lacking > 0 {
			return fmt.Errorf("%s, %s: %d hosts never had the image", c.Scenario, c.Result.Protocol, c.Result.Lacking)
		}
	}
	return nil
}

// An outcome is one scenario by one protocol.
type outcome struct {
	Scenario string         `json:"scenario"`
	About    string         `json:"about"`
	Starts   int            `json:"starts,omitempty"`
	Theirs   string         `json:"published,omitempty"`
	Seed     uint64         `json:"seed"`
	Result   *spread.Result `json:"result"`
}

// simulate runs as many at a time as asked for, which changes nothing but how long
// it takes, and returns what came out in the order asked for.
func simulate(o *options, log io.Writer) []outcome {
	outcomes := make([]outcome, 0, len(o.scenarios)*len(o.protocols))
	for _, sc := range o.scenarios {
		for range o.protocols {
			outcomes = append(outcomes, outcome{Scenario: sc.Name, About: sc.About, Starts: sc.Starts, Theirs: sc.Theirs, Seed: sc.Zone.Seed})
		}
	}
	places := make(chan struct{}, max(1, o.parallel))
	var running sync.WaitGroup
	var mu sync.Mutex
	for i := range outcomes {
		running.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			sc, p := o.scenarios[i/len(o.protocols)], o.protocols[i%len(o.protocols)]
			r := spread.Run(sc.Zone, p)
			mu.Lock()
			defer mu.Unlock()
			outcomes[i].Result = r
			fmt.Fprintf(log, "sim: %s, %s: %.1f s, %d events\n", sc.Name, p, r.Took, r.Events)
		})
	}
	running.Wait()
	return outcomes
}

func defaultParallel() int { return min(2, runtime.NumCPU()) } // a large zone takes gigabytes
