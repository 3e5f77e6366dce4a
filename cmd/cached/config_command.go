package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/zonecache/cached/tiers/origin"
)

func newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print or check the daemon's configuration",
		Long: `Settings come from a YAML file, then the environment, then flags; later ones win.
The flag --l1-size is CACHED_L1_SIZE in the environment and l1: {size: ...} in the
file. Unknown keys in the file are errors.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigPrintCommand(), newConfigValidateCommand(), newConfigReferenceCommand())
	return cmd
}

func newConfigPrintCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Print the whole configuration in effect, as a file that can be used",
		Args:  cobra.NoArgs,
	}
	load := addConfigFlags(cmd, bindFlags)
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := load()
		if err != nil {
			return err
		}
		doc, err := yaml.Marshal(c)
		if err != nil {
			return err
		}
		if *asJSON {
			var tree map[string]any // the YAML keys, not Go's field names
			if err := yaml.Unmarshal(doc, &tree); err != nil {
				return err
			}
			return printJSON(cmd.OutOrStdout(), tree)
		}
		_, err = cmd.OutOrStdout().Write(doc)
		return err
	}
	return cmd
}

func newConfigValidateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check the configuration and say what is wrong with it",
		Long: `Check the configuration as 'cached serve' does at its start, and say all that is wrong, a line
each: values, addresses, and the files, directories and groups of this host that it names. Nothing
is made, listened on, or asked of the network: 'cached doctor' does that.`,
		Args: cobra.NoArgs,
	}
	load := addConfigFlags(cmd, bindFlags)
	elsewhere := cmd.Flags().Bool("elsewhere", false, "it is for another host: look for no file, directory or group that it names, but what its origins need")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		var warnings []string
		if !*elsewhere {
			err, warnings = cfg.checkHost(), cfg.warnings()
		}
		// Opening an origin asks nothing of it but reads its URL, keys and CA.
		err = errors.Join(err, withOrigin(cmd.Context(), cfg, func(*origin.Origin) error { return nil }))
		for _, w := range warnings {
			fmt.Fprintln(cmd.ErrOrStderr(), "cached: warning:", w)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), "the configuration is valid")
		return err
	}
	return cmd
}
