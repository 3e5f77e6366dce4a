// Command write writes the chart's dashboards into a directory.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/zonecache/cached/helm/dashboards"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: write DIR")
		os.Exit(2)
	}
	for _, d := range dashboards.All() {
		doc, err := d.JSON()
		if err == nil {
			err = os.WriteFile(filepath.Join(os.Args[1], d.Name+".json"), doc, 0o644)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "write:", err)
			os.Exit(1)
		}
	}
}
