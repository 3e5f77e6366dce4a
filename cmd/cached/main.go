// Command cached is a zone-level, content-addressed block cache that makes
// serverless cold starts fast: it publishes container images and other large
// artefacts as blocks into an object store and serves them on every host from
// memory, local disk and the store.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the build: -ldflags "-X main.version=...".
var version = "devel"

func main() {
	os.Exit(run(os.Args[1:]))
}

// run executes one command line and returns the exit status: 0 only on success.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second Ctrl-C ends the process at once; a second SIGTERM changes nothing.
	context.AfterFunc(ctx, func() { signal.Reset(os.Interrupt) })
	root := newRootCommand()
	root.SetArgs(args)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "cached:", err)
		return 1
	}
	return 0
}
