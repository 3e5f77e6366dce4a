// Command hitrate measures what caches keep: the product's L1 and L2, by their own
// code, beside LRU, 2Q, S3-FIFO, W-TinyLFU and Belady's look into the future, on
// recorded, public and made-up reads and by size; and which tier serves a zone's day.
//
//	go run ./loadtest/hitrate -help           # what there is
//	go run ./loadtest/hitrate recorded        # starts of real images
//	go run ./loadtest/hitrate day             # 24 hours of a zone
//
// docs/hitrate.md has the results.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/zonecache/cached/loadtest/hitrate/day"
)

func main() {
	switch err := run(os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "hitrate:", err)
		os.Exit(1)
	}
}

func run(args []string, out, log io.Writer) error {
	o, err := parse(args, out)
	if err != nil {
		return err
	}
	if o.doc != "" {
		return o.document(o.doc, log)
	}
	var compared []*comparison
	for _, name := range o.sources {
		if name == "day" {
			if err := o.oneDay(out); err != nil {
				return err
			}
			continue
		}
		c, err := o.compare(name)
		if err != nil {
			return err
		}
		compared = append(compared, c)
		if err := o.show(out, c, c.markdown); err != nil {
			return err
		}
	}
	if o.plot == "" {
		return nil
	}
	return os.WriteFile(o.plot, plot(compared), 0o644)
}

func (o *options) compare(name string) (*comparison, error) {
	t, about, err := o.source(name)
	if err != nil {
		return nil, err
	}
	return compare(t, about, o.policies, o.sizes)
}

func (o *options) oneDay(out io.Writer) error {
	r, err := day.Run(o.day)
	if err != nil {
		return err
	}
	return o.show(out, r, func(out io.Writer) error { return days(out, []labelled{{"this zone", r}}) })
}

// show writes what was measured, in the form asked for.
func (o *options) show(out io.Writer, what any, table func(io.Writer) error) error {
	if !o.json {
		return table(out)
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(what)
}
