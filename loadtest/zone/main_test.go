package zone_test

import (
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/zonecache/cached/loadtest/zone"
)

// No blocktest here: the blocks are other processes'.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "cached-zone-")
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
