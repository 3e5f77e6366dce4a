package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/zonecache/cached/loadtest/bench"
)

// benchOutputs are the files a result goes to.
type benchOutputs struct{ json, csv, html string }

func (o *benchOutputs) addFlags(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&o.json, "json", "", "write everything as JSON to `FILE`, - for the output instead of the table")
	fs.StringVar(&o.csv, "csv", "", "write the time series as CSV to `FILE`, - for the output instead of the table")
	fs.StringVar(&o.html, "html", "", "write a report with plots to `FILE`: one page that needs nothing else")
}

// write writes the files, and the table where the output is free.
func (o *benchOutputs) write(out io.Writer, r *bench.Result) error {
	for _, f := range []struct {
		name  string
		write func(io.Writer) error
	}{{o.json, r.WriteJSON}, {o.csv, r.WriteCSV}, {o.html, r.WriteHTML}} {
		if f.name == "" {
			continue
		}
		if err := writeTo(f.name, out, f.write); err != nil {
			return err
		}
	}
	if o.json == "-" || o.csv == "-" || o.html == "-" {
		return nil
	}
	return r.WriteText(out)
}

// A benchProgress says how far a run is: in one line of a terminal, in lines elsewhere.
type benchProgress struct {
	w        io.Writer
	terminal bool
	last     time.Time
}

func newBenchProgress(w io.Writer) *benchProgress {
	f, ok := w.(*os.File)
	return &benchProgress{w: w, terminal: ok && term.IsTerminal(int(f.Fd())), last: time.Now()}
}

func (p *benchProgress) show(now bench.Progress) {
	if !p.terminal && time.Since(p.last) < plainInterval {
		return
	}
	p.last = time.Now()
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s", now.Stage, now.Elapsed.Round(time.Second))
	if now.Of > 0 {
		fmt.Fprintf(&text, " of %s", now.Of)
	}
	if now.Round > 1 {
		fmt.Fprintf(&text, ", round %d", now.Round)
	}
	fmt.Fprintf(&text, ": %d reads, %s, %d errors", now.Reads, humanize.Bytes(uint64(now.Bytes)), now.Errors)
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s", text.String())
		return
	}
	fmt.Fprintln(p.w, text.String())
}

// finish removes the line.
func (p *benchProgress) finish() {
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
