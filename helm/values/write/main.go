// Command write writes the definitions of values.schema.json, and flags.json, of the
// chart in a directory. It runs cached for the schema of the configuration file.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/zonecache/cached/helm/values"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "write:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: write CHART")
	}
	config, err := exec.Command("go", "run", "github.com/zonecache/cached/cmd/cached", "config", "reference", "--schema").Output()
	if err != nil {
		return fmt.Errorf("cached config reference --schema: %w", err)
	}
	file := filepath.Join(args[0], "values.schema.json")
	was, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	schema, err := values.Make(was, config)
	if err != nil {
		return err
	}
	flags, err := values.Flags(config)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(file, schema, 0o644), os.WriteFile(filepath.Join(args[0], values.FlagsFile), flags, 0o644))
}
