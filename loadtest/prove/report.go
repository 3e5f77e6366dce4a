package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

type colouring int

const (
	plain colouring = iota
	inColour

	red, reset = "\x1b[31m", "\x1b[0m"
)

// colours says that w is a terminal.
func colours(w *os.File) colouring {
	if fi, err := w.Stat(); err == nil && fi.Mode()&os.ModeCharDevice != 0 {
		return inColour
	}
	return plain
}

func printTable(w io.Writer, results []result, c colouring) {
	var table strings.Builder
	tw := tabwriter.NewWriter(&table, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "\tGOAL\tFIGURE\tWHAT\tCOMMAND")
	for _, r := range results {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", r.mark(), r.goalText(), r.figureText(), r.name, r.typed())
		if !r.met() && r.reason != "" {
			fmt.Fprintf(tw, "\t\t\t  %s\t\n", r.reason)
		}
		if r.note != "" {
			fmt.Fprintf(tw, "\t\t\t  %s\t\n", r.note)
		}
	}
	tw.Flush()
	for line := range strings.Lines(table.String()) {
		// After the columns are laid out: the codes take no room on the screen.
		if rest, missed := strings.CutPrefix(line, missedMark); missed && c == inColour {
			line = red + missedMark + reset + rest
		}
		fmt.Fprint(w, line)
	}
	fmt.Fprintf(w, "%d of %d met\n", len(results)-countMissed(results), len(results))
}

const missedMark = "MISSED"

func (r result) mark() string {
	switch {
	case !r.met():
		return missedMark
	case r.op == shown && r.figure != "":
		return "-"
	default:
		return "ok"
	}
}

func (r result) goalText() string {
	switch {
	case r.figure == "":
		return "passes"
	case r.op == shown:
		return "shown"
	default:
		return fmt.Sprintf("%s %s %s", r.op, number(r.bound), r.unit)
	}
}

func (r result) figureText() string {
	switch {
	case r.figure == "" && r.measured:
		return "passed"
	case r.measured:
		return strings.TrimSpace(number(r.value) + " " + r.unit)
	default:
		return "none"
	}
}

// number prints three significant digits, whole numbers in full.
func number(v float64) string {
	if v == float64(int64(v)) {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func countMissed(results []result) int {
	n := 0
	for _, r := range results {
		if !r.met() {
			n++
		}
	}
	return n
}

type report struct {
	Machine string         `json:"machine"`
	Commit  string         `json:"commit"`
	Figures []reportFigure `json:"figures"`
}

type reportFigure struct {
	Name    string   `json:"name"`
	Goal    string   `json:"goal"`
	Figure  *float64 `json:"figure"`
	Unit    string   `json:"unit,omitempty"`
	Met     bool     `json:"met"`
	Command string   `json:"command"`
	Reason  string   `json:"reason,omitempty"`
	Commit  string   `json:"commit,omitempty"`  // where it was measured, if not at the report's
	Machine string   `json:"machine,omitempty"` // on which, if not on the report's
}

func newReport(results []result) report {
	rep := report{Machine: machine(), Commit: commit()}
	for _, r := range results {
		f := reportFigure{Name: r.name, Goal: r.goalText(), Unit: r.unit, Met: r.met(), Command: r.typed(), Reason: strings.TrimSpace(r.reason + " " + r.note)}
		if r.measured {
			f.Figure = &r.value
		}
		rep.Figures = append(rep.Figures, f)
	}
	return rep
}

// into puts the figures of rep over those of the same name in file, says of each at
// which commit and on which machine it was measured, and drops what is no goal any
// more. A figure is of one machine, being measured in one run; a table need not be.
func (rep report) into(file string, goals []goal) (report, error) {
	doc, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return rep, nil
	}
	if err != nil {
		return rep, err
	}
	var whole report
	if err := json.Unmarshal(doc, &whole); err != nil {
		return rep, fmt.Errorf("%s: %w", file, err)
	}
	whole.Figures = slices.DeleteFunc(whole.Figures, func(f reportFigure) bool {
		return place(goals, f.Name) < 0
	})
	for _, f := range rep.Figures {
		if rep.Commit != whole.Commit {
			f.Commit = rep.Commit
		}
		if rep.Machine != whole.Machine {
			f.Machine = rep.Machine
		}
		at := slices.IndexFunc(whole.Figures, func(old reportFigure) bool { return old.Name == f.Name })
		if at < 0 {
			whole.Figures = append(whole.Figures, f)
			continue
		}
		whole.Figures[at] = f
	}
	slices.SortStableFunc(whole.Figures, func(a, b reportFigure) int { return place(goals, a.Name) - place(goals, b.Name) })
	return whole, nil
}

// place is where a goal stands among all.
func place(goals []goal, name string) int {
	return slices.IndexFunc(goals, func(g goal) bool { return g.name == name })
}

func (rep report) write(file string) error {
	doc, err := json.MarshalIndent(rep, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(doc, '\n'), 0o644)
}

func machine() string {
	model := "unknown processor"
	cpu, _ := os.ReadFile("/proc/cpuinfo") // absent: unknown
	for line := range strings.Lines(string(cpu)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			model = strings.TrimSpace(strings.TrimLeft(name, "\t :"))
			break
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease") // absent: left out
	return fmt.Sprintf("%d x %s, Linux %s, %s", runtime.NumCPU(), model, strings.TrimSpace(string(kernel)), runtime.Version())
}

// commit names the measured tree, with "-dirty" where it was changed.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
