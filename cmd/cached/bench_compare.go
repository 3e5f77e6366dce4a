package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/zonecache/cached/loadtest/bench"
)

func newBenchCompareCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "compare OLD.json NEW.json",
		Short: "Compare two runs, and say which differences are not by chance",
		Long: `Compare two runs that cached bench wrote with --json.

Each figure is a median, with its change, the change's 95 % confidence interval (of a
bootstrap) and the probability that chance made it (of a Mann-Whitney U test, as
benchstat does). It is better or worse where that is below --alpha, and ~ where not.

The samples are the intervals of the runs (--interval), and for time to ready the
starts: what is found is a difference of these two runs. What differs from run to run is
in the comparison where each side has four runs or more, by --old and --new: then a run
is a sample. Figures of which a run has one only, as processor time, need that.

With --max-worse the exit status is 1 where a figure is worse by more than that, and
not by chance.`,
		Example: `  cached bench compare before.json after.json
  cached bench compare a1.json b1.json --old a2.json --old a3.json --old a4.json \
    --new b2.json --new b3.json --new b4.json --max-worse 5%`,
		Args: cobra.ExactArgs(2),
	}
	older := cmd.Flags().StringArray("old", nil, "`FILE` with another run of the old side")
	newer := cmd.Flags().StringArray("new", nil, "`FILE` with another run of the new side")
	worse := cmd.Flags().String("max-worse", "", "exit with status 1 where a figure is worse by more than this `SHARE`, as in 5%")
	alpha := cmd.Flags().Float64("alpha", 0.05, "greatest `PROBABILITY` of a difference by chance")
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		limit := 0.0
		if *worse != "" {
			var err error
			if limit, err = parseShare(*worse); err != nil {
				return fmt.Errorf("--max-worse %w", err)
			}
		}
		before, err := readResults(append([]string{args[0]}, *older...))
		if err != nil {
			return err
		}
		after, err := readResults(append([]string{args[1]}, *newer...))
		if err != nil {
			return err
		}
		c, err := bench.Compare(before, after, bench.CompareOptions{Alpha: *alpha})
		if err != nil {
			return err
		}
		if *asJSON {
			err = printJSON(cmd.OutOrStdout(), c)
		} else {
			err = c.WriteText(cmd.OutOrStdout())
		}
		if err != nil || *worse == "" {
			return err
		}
		if rows := c.Worsened(limit); len(rows) > 0 {
			names := make([]string, len(rows))
			for i, r := range rows {
				names[i] = fmt.Sprintf("%s (%+.1f %%)", r.Name, 100*r.Change)
			}
			return fmt.Errorf("worse by more than %s: %s", *worse, strings.Join(names, ", "))
		}
		return nil
	}
	return cmd
}

func readResults(files []string) ([]*bench.Result, error) {
	results := make([]*bench.Result, len(files))
	for i, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		results[i], err = bench.ReadJSON(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return results, nil
}

func newBenchReportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "report RUN.json",
		Short:   "Show a run again, or make its report",
		Example: "  cached bench report run.json --html run.html",
		Args:    cobra.ExactArgs(1),
	}
	var outputs benchOutputs
	outputs.addFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		results, err := readResults(args)
		if err != nil {
			return err
		}
		return outputs.write(cmd.OutOrStdout(), results[0])
	}
	return cmd
}
