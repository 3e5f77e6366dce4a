// Command install builds pinned tools and prints their paths, one a line:
//
//	go run ./internal/testtool/install golangci-lint buf
//
// Without a name it lists what is pinned.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/zonecache/cached/internal/testtool/pin"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "install:", err)
		os.Exit(1)
	}
}

func run(names []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	root, err := pin.Root()
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return list(root)
	}
	for _, name := range names {
		path, err := pin.Install(ctx, root, name, os.Stderr)
		if err != nil {
			return err
		}
		fmt.Println(path)
	}
	return nil
}

func list(root string) error {
	tools, err := pin.Tools(root)
	if err != nil {
		return err
	}
	for _, t := range tools {
		fmt.Printf("%-24s %s@%s\n", t.Name, t.Package, t.Version)
	}
	return nil
}
