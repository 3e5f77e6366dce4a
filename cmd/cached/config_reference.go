package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

func newConfigReferenceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reference",
		Short: "Print all settings as a Markdown table: key, flag, environment, default, meaning",
		Args:  cobra.NoArgs,
	}
	schema := cmd.Flags().Bool("schema", false, "print the JSON schema of the file instead, as editors and the chart take it")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *schema {
			return printSchema(cmd.OutOrStdout())
		}
		return printReference(cmd.OutOrStdout())
	}
	return cmd
}

const referenceHead = `# Settings of the daemon

Made by ` + "`cached config reference`" + `. A setting is a key of the YAML file that ` + "`--config`" + ` names, an environment variable, or a flag of
` + "`cached serve`" + `; later ones win. Unknown keys and flags are errors, unknown ` + "`CACHED_`" + ` variables a warning. ` + "`cached config print`" + ` shows what is in effect, ` + "`cached config validate`" + ` says all that is wrong with it, as the daemon does
at its start: values, addresses, and files, directories and groups that this host does not have. ` + "`cached config reference --schema`" + ` prints a JSON schema of the file, for editors.
Sizes are numbers with B, KiB, MiB, GiB, TiB or kB, MB, GB, TB; durations as 1.5s, 2m, 1h. A list in the environment is separated by spaces.

| key | flag | environment | default | what it is |
|---|---|---|---|---|
`

func printReference(w io.Writer) error {
	flags, err := flagsByKey()
	if err != nil {
		return err
	}
	var rows []string
	for key, f := range flags {
		_, usage := pflag.UnquoteUsage(f)
		shown := "`" + f.DefValue + "`"
		if f.DefValue == "" || f.DefValue == "[]" || key == "zone.node" {
			shown = "" // the text says what, or it differs from host to host
		}
		if key == "data-dir" {
			shown = fmt.Sprintf("root: `%s`; others: `%s`; either where it is set: `%s`", dataDirOf("", ""), dataDirOf("", "~"), dataDirOf("$XDG_DATA_HOME", ""))
		}
		rows = append(rows, fmt.Sprintf("| `%s` | `--%s` | `%s` | %s | %s |", key, f.Name, envName(f), shown, strings.ReplaceAll(usage, "|", `\|`)))
	}
	slices.Sort(rows)
	_, err = fmt.Fprintf(w, "%s%s\n", referenceHead, strings.Join(rows, "\n"))
	return err
}

// flagsByKey are the flags of all settings, by their key in the file.
func flagsByKey() (map[string]*pflag.Flag, error) {
	c := Default()
	fs := pflag.NewFlagSet("reference", pflag.ContinueOnError)
	bindFlags(fs, &c)
	flags := map[string]*pflag.Flag{}
	var errs []error
	fs.VisitAll(func(f *pflag.Flag) {
		key, err := keyOf(f)
		flags[key] = f
		errs = append(errs, err)
	})
	return flags, errors.Join(errs...)
}

// keyOf finds the key that a flag sets: the one that has another value afterwards.
func keyOf(f *pflag.Flag) (string, error) {
	before, c := Default(), Default()
	fs := pflag.NewFlagSet("key", pflag.ContinueOnError)
	bindFlags(fs, &c)
	values := []string{"77", "77s", "77MiB", "another"}
	if f.Value.Type() == "bool" {
		values = []string{"true", "false"}
	}
	for _, v := range values {
		if err := fs.Set(f.Name, v); err != nil {
			continue
		}
		if keys := differences("", treeOf(before), treeOf(c)); len(keys) == 1 {
			return keys[0], nil
		}
	}
	return "", fmt.Errorf("--%s sets no key, or several", f.Name)
}

// treeOf is a configuration as its file has it.
func treeOf(c Config) map[string]any {
	var tree map[string]any
	if doc, err := yaml.Marshal(c); err != nil || yaml.Unmarshal(doc, &tree) != nil {
		return nil
	}
	return tree
}

func differences(path string, a, b map[string]any) (keys []string) {
	for name, was := range a {
		key := strings.TrimPrefix(path+"."+name, ".")
		inA, okA := was.(map[string]any)
		inB, okB := b[name].(map[string]any)
		switch {
		case okA && okB:
			keys = append(keys, differences(key, inA, inB)...)
		case fmt.Sprint(was) != fmt.Sprint(b[name]):
			keys = append(keys, key)
		}
	}
	return keys
}
