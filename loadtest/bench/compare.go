package bench

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/aclements/go-moremath/stats"
)

// CompareOptions say what counts as a difference.
type CompareOptions struct {
	Alpha float64 // greatest probability of a difference by chance; 0: 0.05
}

// fewestRuns is how many runs each side must have for runs to be the samples: with
// fewer the test cannot tell anything apart at 0.05.
const fewestRuns = 4

// A Comparison is two sides of runs, beside each other.
type Comparison struct {
	Samples  string     `json:"samples"` // what the samples are: "runs" or "intervals and starts"
	Warnings []string   `json:"warnings,omitempty"`
	Rows     []Compared `json:"rows"`
}

// A Compared is one figure of both sides.
type Compared struct {
	Name   string  `json:"name"`
	Unit   string  `json:"unit"`
	Old    float64 `json:"old"` // median of the samples
	New    float64 `json:"new"`
	OldN   int     `json:"old_samples"`
	NewN   int     `json:"new_samples"`
	Change float64 `json:"change"` // New/Old - 1
	// Low and High are the change's 95 % confidence interval, of a bootstrap.
	Low  float64 `json:"change_low"`
	High float64 `json:"change_high"`
	// P is the probability of such a difference by chance, of a Mann-Whitney U test;
	// 1 where there are too few samples.
	P       float64 `json:"p"`
	Verdict Verdict `json:"verdict"`
}

// A Verdict is what a comparison says of a figure.
type Verdict string

// The verdicts.
const (
	Better  Verdict = "better"
	Worse   Verdict = "worse"
	Same    Verdict = "~"       // no difference that chance does not explain
	Unknown Verdict = "unknown" // too few samples to say
)

// A measure is a figure and what it is like.
type measure struct {
	name, unit string
	better     direction
	run        func(*Result) (float64, bool)
	samples    func(*Result) []float64 // nil: of a run there is one only
}

type direction int

const (
	higher direction = 1
	lower  direction = -1
)

// Compare sets two sides beside each other. Where each has four runs or more a run is
// a sample, and the comparison includes what differs from run to run. Else the samples
// are the intervals of the runs, and for time to ready the starts: they show a
// difference between these runs, which the next ones need not show.
func Compare(old, new []*Result, o CompareOptions) (Comparison, error) {
	if len(old) == 0 || len(new) == 0 {
		return Comparison{}, errors.New("nothing to compare: each side needs a run")
	}
	if o.Alpha == 0 {
		o.Alpha = 0.05
	}
	if !(o.Alpha > 0 && o.Alpha < 1) {
		return Comparison{}, fmt.Errorf("alpha %g: want more than 0 and less than 1", o.Alpha)
	}
	c := Comparison{Samples: "intervals and starts", Warnings: differences(old[0], append(slices.Clone(old[1:]), new...))}
	byRun := len(old) >= fewestRuns && len(new) >= fewestRuns
	if byRun {
		c.Samples = "runs"
	}
	for _, m := range measures() {
		a, b := m.collect(old, byRun), m.collect(new, byRun)
		if len(a) == 0 || len(b) == 0 {
			continue
		}
		c.Rows = append(c.Rows, m.compare(a, b, o.Alpha))
	}
	return c, nil
}

func (m measure) collect(runs []*Result, byRun bool) []float64 { //nolint:revive // which samples is the question
	var all []float64
	for _, r := range runs {
		if !byRun && m.samples != nil {
			all = append(all, m.samples(r)...)
		} else if v, known := m.run(r); known {
			all = append(all, v)
		}
	}
	return all
}

func (m measure) compare(a, b []float64, alpha float64) Compared {
	c := Compared{Name: m.name, Unit: m.unit, Old: median(a), New: median(b), OldN: len(a), NewN: len(b), P: 1, Verdict: Unknown}
	c.Change = change(c.Old, c.New)
	c.Low, c.High = bootstrap(a, b)
	if len(a) < fewestRuns || len(b) < fewestRuns {
		return c
	}
	c.Verdict = Same
	test, err := stats.MannWhitneyUTest(a, b, stats.LocationDiffers)
	if err != nil { // all are equal
		return c
	}
	if c.P = test.P; c.P < alpha && c.Old != c.New {
		c.Verdict = Worse
		if (c.New > c.Old) == (m.better == higher) {
			c.Verdict = Better
		}
	}
	return c
}

// change returns how much larger b is than a, as a share of a.
func change(a, b float64) float64 {
	if a == b {
		return 0
	}
	if a == 0 {
		return math.MaxFloat64
	}
	return b/a - 1
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// What the bootstrap does: that many resamples, of at most so many samples.
const (
	resamples   = 1000
	maxResample = 2000
)

// bootstrap returns the 95 % confidence interval of the change of the median. It is
// the same each time.
func bootstrap(a, b []float64) (low, high float64) {
	rng := rand.New(rand.NewPCG(1, 2))
	draw := func(v, into []float64) float64 {
		for i := range into {
			into[i] = v[rng.IntN(len(v))]
		}
		slices.Sort(into)
		return (into[(len(into)-1)/2] + into[len(into)/2]) / 2
	}
	x, y := make([]float64, min(len(a), maxResample)), make([]float64, min(len(b), maxResample))
	changes := make([]float64, resamples)
	for i := range changes {
		changes[i] = change(draw(a, x), draw(b, y))
	}
	slices.Sort(changes)
	return changes[resamples*25/1000], changes[resamples*975/1000-1]
}

// Worsened returns the figures that are worse by more than the share, and not by chance.
func (c Comparison) Worsened(by float64) []Compared {
	var rows []Compared
	for _, r := range c.Rows {
		if r.Verdict == Worse && math.Abs(r.Change) > by {
			rows = append(rows, r)
		}
	}
	return rows
}

// WriteText writes the comparison for people.
func (c Comparison) WriteText(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "FIGURE\tOLD\tNEW\tUNIT\tCHANGE\t95 %\tP\tSAMPLES\tVERDICT")
	for _, r := range c.Rows {
		fmt.Fprintf(tw, "%s\t%.4g\t%.4g\t%s\t%s\t%s to %s\t%.3f\t%d, %d\t%s\n", r.Name, r.Old, r.New, r.Unit, signed(r.Change), signed(r.Low), signed(r.High), r.P, r.OldN, r.NewN, r.Verdict)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	text := fmt.Sprintf("\nMedians of %s; p of a Mann-Whitney U test, the interval of a bootstrap.", c.Samples)
	if c.Samples != "runs" {
		text += " Give four runs of each side to include what differs from run to run."
	}
	_, err := fmt.Fprintln(w, strings.Join(append([]string{text}, c.Warnings...), "\nNot alike: "))
	return err
}

func signed(share float64) string {
	if share == math.MaxFloat64 {
		return "from 0"
	}
	return fmt.Sprintf("%+.1f %%", 100*share)
}
