package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A row of README.md's table of figures: one goal of a set, in fewer words.
type row struct{ set, name, what string }

// readmeRows are what somebody who chooses a cache asks first. Goals that are missed
// stay among them.
var readmeRows = []row{
	{"main", "L1 read through the daemon's chain, raw, 512 KiB, 8 clients, beside net/http", "warm block of 512 KiB from memory, by Go's net/http serving the same bytes"},
	{"main", "L2 cold random read, depth 4, beside fio", "cold block from the local disk, by fio"},
	{"main", "daemon restarted on a full L2: from exec to the first block by RPC", "daemon restarted on a full disk cache: until the first block"},
	{"host", "pyml: (b) beside (a), faster by", "first start of a scikit-learn container from a mount, faster than pull, unpack, start"},
	{"host", "pyml: (e) beside (a), faster by", "the same on a cold host of a warm zone"},
	{"host", "torch, 1.2 GiB: mounted on a warm daemon, from exec of the command to its end, median of five", "image of 1.2 GiB mounted"},
	{"host", "pyml: (c4) by warm (d)", "start after an umount, pages kept, by a start from an unpacked directory in the page cache"},
	{"host", "torch: (c4) by warm (d)", "the same of a PyTorch container, the slowest of five"},
	{"prefetch", "pyml: with the pack, faster than the first start by", "later start on a cold host, with what earlier ones taught, 30 ms from the store: faster by"},
	{"prefetch", "chrome: third start: recall", "share of what a third start needs that was read ahead of it"},
	{"zone", "16 hosts at 100 Mbit/s (MTU 9000), L1 64 MiB each, 256 MiB at once: origin bytes by distinct bytes", "16 hosts ask for one image at once: bytes read of the store, by those of the image"},
	{"zone", "the same: until every block was delivered to the last host's program, verified, by (1 + floor(log2 N)/M) S/B; median of three", "the same: until the last host has all of it, by the least the links allow"},
	{"loadtest", "start of flask, as it is: 16 hosts by one", "a start on 16 hosts at once, by one on one host"},
	{"loadtest", "simulated: 4,000 starts of a 1.8 GB image on 1,000 hosts at 10 Gb/s: p50 by reachable", "simulated: 4,000 starts of 1.8 GB on 1,000 hosts, p50 by the least the links and the store allow"},
	{"loadtest", "simulated: 24 hours of 100 hosts after 24, bursts and new versions: share of reads at the origin (AWS Lambda: 0.06 %)", "simulated: a day of 100 hosts, share of the reads that reach the store"},
}

const (
	tableBegins = "<!-- figures: go run ./loadtest/prove readme -->\n"
	tableEnds   = "<!-- end of figures -->\n"
)

// readmeTable returns the table of figures as Markdown, from the committed results.
func readmeTable(dir string) (string, error) {
	reports := map[string]*report{}
	var text strings.Builder
	var machines []string
	text.WriteString("| what | figure | goal | from |\n|---|---|---|---|\n")
	for _, r := range readmeRows {
		if place(sets[r.set], r.name) < 0 {
			return "", fmt.Errorf("readme: %s: no goal %q", r.set, r.name)
		}
		rep := reports[r.set]
		if rep == nil {
			doc, err := os.ReadFile(filepath.Join(dir, r.set+".json"))
			if err != nil {
				return "", fmt.Errorf("readme: %w", err)
			}
			rep = &report{}
			if err := json.Unmarshal(doc, rep); err != nil {
				return "", fmt.Errorf("readme: %s.json: %w", r.set, err)
			}
			reports[r.set] = rep
		}
		at := slices.IndexFunc(rep.Figures, func(f reportFigure) bool { return f.Name == r.name })
		if at < 0 {
			continue // it has not been measured yet
		}
		f := rep.Figures[at]
		figure := "failed"
		if f.Figure != nil {
			figure = strings.TrimSpace(shownNumber(f) + " " + f.Unit)
		}
		machine := f.Machine
		if machine == "" {
			machine = rep.Machine
		}
		n := slices.Index(machines, machine)
		if n < 0 {
			n = len(machines)
			machines = append(machines, machine)
		}
		goal := f.Goal
		switch {
		case goal == "shown":
			goal = ""
		case !f.Met:
			goal += ", missed"
		}
		fmt.Fprintf(&text, "| %s | %s | %s | [%s](results/%s.json) %s |\n",
			r.what, figure, goal, r.set, r.set, strings.Repeat("*", n+1))
	}
	for i, m := range machines {
		fmt.Fprintf(&text, "\n%s %s", strings.Repeat(`\*`, i+1), m)
	}
	text.WriteString("\n")
	return text.String(), nil
}

// shownNumber is short, and no shorter than shows why a goal is missed.
func shownNumber(f reportFigure) string {
	text := number(*f.Figure)
	if goal := strings.Fields(f.Goal); !f.Met && len(goal) > 1 && goal[1] == text {
		return strconv.FormatFloat(*f.Figure, 'f', 4, 64)
	}
	return text
}

// writeReadme puts the table into README.md.
func writeReadme(file, results string) error {
	doc, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	table, err := readmeTable(results)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(doc), tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		return fmt.Errorf("%s: no place for the table, which is between %q and %q", file, tableBegins, tableEnds)
	}
	return os.WriteFile(file, []byte(before+tableBegins+table+tableEnds+after), 0o644)
}
