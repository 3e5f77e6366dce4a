package zone

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/zonecache/cached/internal/testtool/pin"
)

// Programs is a directory with the programs that a zone runs.
type Programs string

// Build builds the programs of this source tree into dir.
func Build(dir string) (Programs, error) {
	root, err := pin.Root()
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", dir, "./cmd/cached", "./loadtest/zone/agent", "./loadtest/zone/liar")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return Programs(dir), nil
}

// A Builder builds the programs when the first test needs them.
type Builder struct {
	Dir string // where; the caller's to remove

	once     sync.Once
	programs Programs
	err      error
}

// Programs returns them, or ends the test.
func (b *Builder) Programs(t testing.TB) Programs {
	t.Helper()
	b.once.Do(func() { b.programs, b.err = Build(b.Dir) })
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.programs
}

// Command returns `cached` with arguments, as the zone's programs are started.
func (p Programs) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.cached(), args...)
	cmd.Env = environ()
	return cmd
}

func (p Programs) cached() string { return filepath.Join(string(p), "cached") }

func (p Programs) liar() string { return filepath.Join(string(p), "liar") }

func (p Programs) agent() string { return filepath.Join(string(p), "agent") }
