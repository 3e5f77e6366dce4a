// Command prove runs the measurements an issue is judged by, prints each goal
// beside its figure and the command behind it, writes results/<set>.json, and
// ends with status 1 where a goal is missed.
//
//	go run ./loadtest/prove main            # all of it
//	go run ./loadtest/prove main -only disk # the commands that mention "disk", again
//	go run ./loadtest/prove readme          # the table of README.md, from the results
//
// A measurement is any command that prints lines "figure NAME VALUE UNIT"; tests
// and benchmarks do so through internal/figure. Commands run one after another,
// so that nothing disturbs what is measured.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

var sets = map[string][]goal{"main": mainGoals, "zone": zoneGoals, "host": hostGoals, "prefetch": prefetchGoals, "operate": operateGoals, "loadtest": loadtestGoals}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "prove:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	fs := flag.NewFlagSet("prove", flag.ContinueOnError)
	only := fs.String("only", "", "run the commands that contain `TEXT` only; their figures replace those in results/<set>.json")
	if len(args) == 1 && args[0] == "readme" {
		return writeReadme("README.md", "results")
	}
	if len(args) == 0 || sets[args[0]] == nil {
		return fmt.Errorf("usage: prove main|zone|host|prefetch|operate|loadtest [-only TEXT], or prove readme")
	}
	set := args[0]
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	goals := choose(sets[set], *only)
	if len(goals) == 0 {
		return fmt.Errorf("no command contains %q", *only)
	}
	if err := os.MkdirAll("results", 0o755); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join("results", set+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	results := measure(goals, log)
	printTable(os.Stdout, results, colours(os.Stdout))
	file := filepath.Join("results", set+".json")
	rep := newReport(results)
	if *only != "" {
		if rep, err = rep.into(file, sets[set]); err != nil {
			return err
		}
	}
	if err := rep.write(file); err != nil {
		return err
	}
	if missed := countMissed(results); missed > 0 {
		return fmt.Errorf("%d of %d goals missed; the output of every command is in %s", missed, len(results), log.Name())
	}
	return nil
}
