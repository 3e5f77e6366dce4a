// Command cached is a zone-level, content-addressed block cache that makes
// serverless cold starts fast: it publishes container images and other large
// artefacts as blocks into an object store and serves them on every host from
// memory, local disk and the store.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// version is set by the build: -ldflags "-X main.version=...".
var version = "devel"

// interrupted is the exit status of a command that a signal ended, as shells have it.
const interrupted = 130

// notReadyStatus is the exit status of `cached status` where the daemon answers and is not ready.
const notReadyStatus = 3

func main() {
	os.Exit(run(os.Args[1:]))
}

// run executes one command line and returns the exit status: 0 only on success.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer func() {
		signal.Ignore(syscall.SIGTERM) // one that comes while the process ends is none to die of
		stop()
	}()
	// A second Ctrl-C ends the process at once; a second SIGTERM changes nothing.
	context.AfterFunc(ctx, func() { signal.Reset(os.Interrupt) })
	root := newRootCommand()
	root.SetArgs(args)
	if err := root.ExecuteContext(ctx); err != nil {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			fmt.Fprintln(os.Stderr, "cached: interrupted")
			return interrupted
		}
		text := err.Error()
		if _, ok := errors.AsType[misconfiguration](err); ok {
			text = strings.ReplaceAll(text, "\n", "\ncached: ")
		}
		fmt.Fprintln(os.Stderr, "cached:", text)
		if errors.Is(err, errNotReady) {
			return notReadyStatus
		}
		return 1
	}
	return 0
}
