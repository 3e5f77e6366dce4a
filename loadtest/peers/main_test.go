package peers

import (
	"os"
	"sync"
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
	built.dir = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// built is where the programs are built when the first test needs them.
var built struct {
	dir  string
	once sync.Once
	zone.Programs
	err error
}

func programs(t *testing.T) zone.Programs {
	t.Helper()
	built.once.Do(func() { built.Programs, built.err = zone.Build(built.dir) })
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.Programs
}

// pick returns the first of two sizes for `make prove-loadtest`, the second for `go test`.
func pick[T any](whole, quick T) T {
	if figure.Full() {
		return whole
	}
	return quick
}
