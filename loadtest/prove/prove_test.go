package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMeasureJudgesEachGoal(t *testing.T) {
	const good = `printf 'noise\nBenchmarkX figure a.b 2 x\nfigure a.b 3 x\nfigure c 0 n\nfigure d\nfigure e 1.05 x\nfigure f 0.85 x\n'`
	goals := []goal{
		{name: "met", figure: "a.b", op: atLeast, bound: 3, command: good},
		{name: "missed", figure: "a.b", op: atMost, bound: 2.5, command: good},
		{name: "above", figure: "a.b", op: above, bound: 2, command: good},
		{name: "not above", figure: "a.b", op: above, bound: 3, command: good},
		{name: "exact", figure: "c", op: exactly, bound: 0, command: good},
		{name: "within", figure: "e", op: oneWithin, bound: 0.1, command: good},
		{name: "below", figure: "f", op: oneWithin, bound: 0.1, command: good},
		{name: "no such figure", figure: "d", op: shown, command: good},
		{name: "passes", command: "true"},
		{name: "fails", command: "false"},
		{name: "figure of a failing command", figure: "z", op: atLeast, command: "echo figure z 9; exit 3"},
	}
	want := []bool{true, false, true, false, true, true, false, false, true, false, false}
	var log bytes.Buffer
	results := measure(goals, &log)
	for i, r := range results {
		if r.met() != want[i] {
			t.Errorf("%s: met %v, want %v (%+v)", r.name, r.met(), want[i], r)
		}
	}
	if n := strings.Count(log.String(), "$ printf"); n != 1 {
		t.Errorf("the shared command ran %d times, want once", n)
	}
	if n := countMissed(results); n != 6 {
		t.Errorf("%d missed, want 6", n)
	}
}

// Found by the race detector: a command's two outputs are copied by two goroutines.
func TestBothOutputsShareTheLog(t *testing.T) {
	var log bytes.Buffer
	figures, err := runCommand(`for i in $(seq 200); do echo out; echo err >&2; done; echo figure a 1 x`, &log)
	if err != nil || figures["a"] != 1 {
		t.Fatalf("figures %v, %v", figures, err)
	}
	if out, errs := strings.Count(log.String(), "out\n"), strings.Count(log.String(), "err\n"); out != 200 || errs != 200 {
		t.Errorf("the log has %d and %d lines, want 200 of each", out, errs)
	}
}

func TestReportNamesEveryFigure(t *testing.T) {
	results := []result{
		{goal: goal{name: "a", figure: "f", op: atLeast, bound: 0.95, command: "c"}, value: 1.25, measured: true},
		{goal: goal{name: "b", figure: "g", op: atMost, bound: 1, command: "c"}, reason: "exit status 1"},
	}
	file := filepath.Join(t.TempDir(), "main.json")
	if err := newReport(results).write(file); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rep report
	if err := json.Unmarshal(doc, &rep); err != nil {
		t.Fatal(err)
	}
	if rep.Machine == "" || rep.Commit == "" || len(rep.Figures) != 2 || rep.Figures[0].Command != "CACHED_PROVE=1 c" || *rep.Figures[0].Figure != 1.25 || rep.Figures[1].Figure != nil || rep.Figures[1].Met {
		t.Fatalf("report %s", doc)
	}
	var table bytes.Buffer
	printTable(&table, results, inColour)
	if !strings.Contains(table.String(), red+"MISSED"+reset) {
		t.Errorf("what was missed is not red:\n%s", table.String())
	}
	for _, want := range []string{"ok", "MISSED", ">= 0.95", "1.25", "exit status 1", "CACHED_PROVE=1 c\n", "1 of 2 met"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, table.String())
		}
	}
}

func TestEveryGoalHasACommandAndAUniqueName(t *testing.T) {
	for set, goals := range sets {
		seen := map[string]bool{}
		for _, g := range goals {
			if g.command == "" || g.name == "" || seen[g.name] {
				t.Errorf("set %s: goal %q: want a unique name and a command", set, g.name)
			}
			seen[g.name] = true
		}
	}
}

// The results of operate are of its goals as they are: each was measured, by the command
// that it has now.
func TestEveryGoalOfOperateIsInItsResults(t *testing.T) {
	doc, err := os.ReadFile("../../results/operate.json")
	if err != nil {
		t.Fatal(err)
	}
	var rep report
	if err := json.Unmarshal(doc, &rep); err != nil {
		t.Fatal(err)
	}
	measured := map[string]string{}
	for _, f := range rep.Figures {
		measured[f.Name] = f.Command
	}
	for _, g := range operateGoals {
		if command, there := measured[g.name]; !there || command != g.typed() {
			t.Errorf("%s: measured: %t, by %q; run `make prove-operate`", g.name, there, command)
		}
		delete(measured, g.name)
	}
	for name := range measured {
		t.Errorf("%s is no goal any more; run `make prove-operate`", name)
	}
}

func TestMeasuringSomeAgainKeepsTheRest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "main.json")
	first := newReport([]result{
		{goal: goal{name: "a", figure: "f", op: atLeast, bound: 1, command: "c"}, value: 0.5, measured: true},
		{goal: goal{name: "b", figure: "g", op: atLeast, bound: 1, command: "c"}, value: 2, measured: true},
		{goal: goal{name: "no goal any more", figure: "h", command: "c"}},
	})
	first.Commit, first.Machine = "older", "another"
	if err := first.write(file); err != nil {
		t.Fatal(err)
	}
	again, err := newReport([]result{{goal: goal{name: "a", figure: "f", op: atLeast, bound: 1, command: "c"}, value: 3, measured: true}}).into(file, []goal{{name: "a"}, {name: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	a, b := again.Figures[0], again.Figures[1]
	if again.Commit != "older" || len(again.Figures) != 2 || *a.Figure != 3 || !a.Met || a.Commit != commit() || *b.Figure != 2 || b.Commit != "" ||
		again.Machine != "another" || a.Machine != machine() || b.Machine != "" {
		t.Fatalf("%+v", again)
	}
}

// README.md shows what the committed results say.
func TestReadmeHasTheFigures(t *testing.T) {
	table, err := readmeTable("../../results")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc), tableBegins+table+tableEnds) {
		t.Errorf("the table in README.md is not that of results/; go run ./loadtest/prove readme writes\n%s", table)
	}
}

// A goal that is missed stays in the table with the reason.
func TestMissedGoalsSayWhy(t *testing.T) {
	for set, goals := range sets {
		doc, err := os.ReadFile(filepath.Join("../../results", set+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var rep report
		if err := json.Unmarshal(doc, &rep); err != nil {
			t.Fatalf("%s: %v", set, err)
		}
		for _, f := range rep.Figures {
			if place(goals, f.Name) < 0 {
				t.Errorf("%s: %q is no goal any more", set, f.Name)
			}
			if !f.Met && f.Reason == "" {
				t.Errorf("%s: %q is missed without a reason", set, f.Name)
			}
		}
	}
}

// A figure that misses its goal by less than the table has digits gets more of them, and
// one whose command failed is none.
func TestReadmeShowsWhatIsMissed(t *testing.T) {
	for _, c := range []struct {
		figure float64
		goal   string
		met    bool
		want   string
	}{
		{1.0009, "= 1 x", false, "1.0009"},
		{1.3004, "<= 1.3 x", false, "1.3004"},
		{1.3004, "<= 1.3 x", true, "1.3"},
		{1.4, "<= 1.3 x", false, "1.4"},
		{7, "shown", true, "7"},
	} {
		if got := shownNumber(reportFigure{Figure: &c.figure, Goal: c.goal, Met: c.met}); got != c.want {
			t.Errorf("%v, goal %s, met %v: %s, want %s", c.figure, c.goal, c.met, got, c.want)
		}
	}
	dir := t.TempDir()
	for set, goals := range sets {
		var rep report
		for _, g := range goals {
			rep.Figures = append(rep.Figures, reportFigure{Name: g.name, Goal: "passes", Reason: "exit status 1"})
		}
		if err := rep.write(filepath.Join(dir, set+".json")); err != nil {
			t.Fatal(err)
		}
	}
	table, err := readmeTable(dir)
	if err != nil || strings.Count(table, "| failed | passes, missed |") != len(readmeRows) {
		t.Errorf("%v\n%s", err, table)
	}
}
