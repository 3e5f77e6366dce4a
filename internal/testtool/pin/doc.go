// Package pin builds the Go programs that this repository's Makefile and tests
// run, each at one pinned version.
//
// The pins are the `tool` directives of a few modules, and nowhere else:
// tools/go.mod holds programs of their own (linter, test servers, clients), so
// that the hundreds of modules they need never enter the product's go.mod, and
// the modules below it those that need other versions of them; the root go.mod
// holds the code generators, whose version must be that of the library their
// output is compiled against.
//
// [Install] leaves a binary in <repository>/.cache/bin, or in the directory
// that the environment names in CACHED_TOOLS. The binary itself says which
// version it is (debug/buildinfo), so an install is skipped exactly when the
// right one stands there. Processes that install at once wait for each other on
// a file lock, and a binary appears under its name only when it is whole.
package pin
