// Command write writes the README of the chart in a directory, of README.head.md and
// values.yaml there.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/zonecache/cached/helm/readme"
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
	head, err := os.ReadFile(filepath.Join(args[0], "README.head.md"))
	if err != nil {
		return err
	}
	values, err := os.ReadFile(filepath.Join(args[0], "values.yaml"))
	if err != nil {
		return err
	}
	text, err := readme.Make(string(head), values)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(args[0], "README.md"), []byte(text), 0o644)
}
