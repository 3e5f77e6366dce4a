// Package testtool gives tests the external programs they run beside: object
// stores, web servers, file system checkers, clients.
//
// [Go] returns a Go program at the version this repository pins, built on first
// use. [Debian] returns a program of the distribution, installed on first use
// when the test runs as root. What cannot be had skips the test, and the skip
// says in one line what to install; `make test` lists all skips at its end.
//
// [Start] runs such a program for the length of a test on ports from
// [FreePort]. All functions may be called by tests that run in parallel and by
// packages that are tested at once.
package testtool

import (
	"context"
	"io"
	"testing"

	"github.com/zonecache/cached/internal/testtool/pin"
)

// Go returns the path of the named pinned tool, see package pin. The first use
// on a machine builds it: the slowest takes a few minutes on two cores. A
// failed build fails the test.
func Go(tb testing.TB, name string) string {
	tb.Helper()
	root, err := pin.Root()
	if err != nil {
		tb.Fatal(err)
	}
	path, err := pin.Install(context.Background(), root, name, io.Discard)
	if err != nil {
		tb.Fatal(err)
	}
	return path
}
