package blocktest

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/zonecache/cached/block"
)

// Main is the body of a package's TestMain: it runs the tests and fails when
// they leave goroutines behind or, built with -tags invariants, blocks.
//
//	func TestMain(m *testing.M) { blocktest.Main(m) }
func Main(m *testing.M, opts ...goleak.Option) { os.Exit(Run(m, opts...)) }

// Run is Main for those who end the process themselves; it returns the exit
// status.
func Run(m *testing.M, opts ...goleak.Option) int {
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(opts...); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines left behind:", err)
			code = 1
		}
	}
	if n := block.Live(); code == 0 && n > 0 {
		fmt.Fprintf(os.Stderr, "%d blocks never released:\n%s", n, block.LeakReport())
		code = 1
	}
	return code
}
