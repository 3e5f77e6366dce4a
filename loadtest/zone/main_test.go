package zone_test

import (
	"os"
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
	built.Dir = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

var built zone.Builder
