// Package figure lets a test or benchmark state a measured figure in a form that
// `make prove-main` collects, and tells it whether to run its full size.
package figure

import (
	"fmt"
	"os"
	"testing"
)

// FullEnv is set to 1 by `make prove-*`: measurements then run at the size the
// goals are stated for, instead of the quick size of `make test`.
const FullEnv = "CACHED_PROVE"

// Full reports whether measurements must run at their full size.
func Full() bool { return os.Getenv(FullEnv) == "1" }

// Report prints "figure NAME VALUE UNIT" on a line of its own on standard
// output. Names are dotted and unique in the tree ("disk.kill9.wrong_bytes").
func Report(tb testing.TB, name string, value float64, unit string) {
	tb.Helper()
	tb.Logf("%s = %g %s", name, value, unit)
	fmt.Printf("figure %s %g %s\n", name, value, unit)
}
