package bench

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/zonecache/cached/block"
)

// WriteText writes the result for people.
func (r *Result) WriteText(w io.Writer) error {
	fmt.Fprintln(w, r.Title())
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "\nSERVED BY\tREADS\tSHARE\tGB\tp50 ms\tp90\tp99\tp99.9\tMAX\t")
	for _, name := range r.TierNames() {
		r.latencyRow(tw, name, r.Tiers[name])
	}
	r.latencyRow(tw, "all", r.All)
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	tw = tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, f := range r.Facts() {
		fmt.Fprintf(tw, "%s\t%s\n", f.Name, f.Text)
	}
	return tw.Flush()
}

func (r *Result) latencyRow(w io.Writer, name string, l Latency) {
	fmt.Fprintf(w, "%s\t%d\t%.1f %%\t%.2f\t%s\t%s\t%s\t%s\t%s\t\n", name, l.Count, 100*float64(l.Count)/float64(max(r.Reads, 1)), float64(l.Bytes)/gb,
		ms(l.P50), ms(l.P90), ms(l.P99), ms(l.P999), ms(l.Max))
}

// ms writes milliseconds to three digits.
func ms(v float64) string {
	switch {
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

// Title says what was done, in a line.
func (r *Result) Title() string {
	what := fmt.Sprintf("%s in an open loop, %s", r.Load.Unit, r.Load.Arrivals)
	if r.Load.Loop == "closed" {
		what = fmt.Sprintf("%s in a closed loop of %s", r.Load.Unit, count(r.Load.Clients, "client"))
	}
	if r.Load.Cold != Warm {
		what += ", cold by " + string(r.Load.Cold)
	}
	if r.Interrupted {
		what += ", interrupted"
	}
	return fmt.Sprintf("%s, %.1f s, %s, %s", what, r.Seconds, count(r.Load.Daemons, "daemon"), count(len(r.Load.Images), "image"))
}

// count writes a number of things.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// A Fact is one line of what came of a run.
type Fact struct{ Name, Text string }

// Facts returns what came of a run, beside latencies.
func (r *Result) Facts() []Fact {
	var facts []Fact
	add := func(name, format string, args ...any) {
		facts = append(facts, Fact{name, fmt.Sprintf(format, args...)})
	}
	add("rate", "%.0f reads/s, %.3f GB/s", r.PerSec, r.GBPerSec)
	add("hit rate", "%.2f %% of the reads did not go to the origin", 100*r.HitRate)
	if s := r.Starts; s != nil {
		add("time to ready", "p50 %s ms, p99 %s ms, slowest %s ms of %d starts; %d failed", ms(s.Ready.P50), ms(s.Ready.P99), ms(s.Ready.Max), s.Count, s.Failed)
		for _, c := range s.ByConcurrency() {
			if c.Starts > 1 || c.Together > 1 {
				add(fmt.Sprintf("  %d at once", c.Together), "p50 %s ms, slowest %s ms of %d starts", ms(c.P50), ms(c.Max), c.Starts)
			}
		}
	}
	if r.NotCold != "" {
		add("not all cold", "%s", r.NotCold)
	}
	if o := r.Origin; o != nil {
		add("origin", "%d reads, %.3f GB: %.4f bytes for each byte that clients read", o.Reads, float64(o.Bytes)/gb, o.PerByte)
	} else {
		add("origin", "not known: %s", r.unknown(func(s ServerUse) string { return s.NoOrigin }))
	}
	add("client CPU", "%.3f s per GB, %.2f s", r.CPU.ClientPerGB, r.CPU.ClientSeconds)
	switch {
	case r.CPU.ServerSeconds == nil:
		add("server CPU", "not known: %s", r.unknown(func(s ServerUse) string { return s.NoCPU }))
	case r.CPU.ServerPerGB != nil:
		add("server CPU", "%.3f s per GB, %.2f s", *r.CPU.ServerPerGB, *r.CPU.ServerSeconds)
	}
	add("verified", "%d blocks, %d of them wrong", r.Verified, r.Wrong)
	add("errors", "%d%s", r.Errors, r.codes())
	if d := r.Dispatch; d != nil {
		text := fmt.Sprintf("p50 %s ms, p99 %s ms, %s ms at most: part of the latencies above", ms(d.P50), ms(d.P99), ms(d.Max))
		if r.Held > 0 {
			text += fmt.Sprintf("; %d arrivals waited, because too many were in progress", r.Held)
		}
		add("client was late", "%s", text)
	}
	return facts
}

func (r *Result) unknown(why func(ServerUse) string) string {
	var texts []string
	for _, s := range r.Daemon {
		if w := why(s); w != "" {
			texts = append(texts, s.URL+": "+w)
		}
	}
	return strings.Join(texts, "; ")
}

func (r *Result) codes() string {
	if len(r.ByCode) == 0 {
		return ""
	}
	var words []string
	for code, n := range r.ByCode {
		words = append(words, fmt.Sprintf("%d %s", n, code))
	}
	slices.Sort(words)
	text := " (" + strings.Join(words, ", ") + ")"
	if len(r.ErrorTexts) > 0 {
		text += "; the first: " + r.ErrorTexts[0]
	}
	return text
}

// A Concurrency is what starts took that were as many at once.
type Concurrency struct {
	Together int
	Starts   int
	P50, Max float64 // milliseconds
}

// ByConcurrency groups the starts that succeeded by how many were at once.
func (s *StartFigures) ByConcurrency() []Concurrency {
	took := map[int][]float64{}
	for _, one := range s.List {
		if !one.Failed {
			took[one.Together] = append(took[one.Together], one.Took)
		}
	}
	var rows []Concurrency
	for n, list := range took {
		slices.Sort(list)
		rows = append(rows, Concurrency{Together: n, Starts: len(list), P50: list[(len(list)-1)/2], Max: list[len(list)-1]})
	}
	slices.SortFunc(rows, func(a, b Concurrency) int { return a.Together - b.Together })
	return rows
}

// WriteCSV writes the time series: a line for each interval.
func (r *Result) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	head := []string{"from_s", "to_s", "reads", "bytes", "errors", "hit_rate", "p50_ms", "p99_ms", "origin_reads", "origin_bytes"}
	for _, t := range block.Tiers {
		head = append(head, t.String()+"_reads", t.String()+"_bytes")
	}
	if err := out.Write(head); err != nil {
		return err
	}
	for _, s := range r.Series {
		reads, bytes := s.sums()
		row := []string{float(s.From), float(s.To), strconv.FormatInt(reads, 10), strconv.FormatInt(bytes, 10), strconv.FormatInt(s.Errors, 10), "", "", "", "", ""}
		if reads > 0 {
			row[5], row[6], row[7] = float(s.hitRate()), float(s.P50), float(s.P99)
		}
		if s.Origin != nil {
			row[8], row[9] = strconv.FormatUint(s.Origin.Reads, 10), strconv.FormatUint(s.Origin.Bytes, 10)
		}
		for _, t := range block.Tiers {
			row = append(row, strconv.FormatInt(s.Reads[t.String()], 10), strconv.FormatInt(s.Bytes[t.String()], 10))
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func float(f float64) string { return strconv.FormatFloat(f, 'f', 6, 64) }
