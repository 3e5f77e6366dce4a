package peers

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/loadtest/zone"
)

// serveEnv makes this program a server beside the tests, in a process of its own.
const serveEnv = "PEERS_TEST_SERVE"

func TestMain(m *testing.M) {
	if what := os.Getenv(serveEnv); what != "" {
		serve(what)
		return
	}
	dir, err := os.MkdirTemp("", "cached-peers-")
	if err != nil {
		panic(err)
	}
	built.Dir = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

var built zone.Builder

// pick returns the first of two sizes for `make prove-loadtest`, the second for `go test`.
func pick[T any](whole, quick T) T {
	if figure.Full() {
		return whole
	}
	return quick
}
