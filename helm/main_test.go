package helm_test

import (
	"os"
	"sync"
	"testing"

	"github.com/zonecache/cached/loadtest/zone"
)

// programs are the binaries that the chart is checked against, built when the first
// test asks for them.
var programs = sync.OnceValues(func() (zone.Programs, error) { return zone.Build(programsDir) })

var programsDir string

func built(t *testing.T) zone.Programs {
	t.Helper()
	p, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "cached-helm")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	programsDir = dir
	return m.Run()
}
