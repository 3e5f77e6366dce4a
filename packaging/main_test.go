package packaging_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/testtool/pin"
)

// version is that of what is built here.
const version = "v1.2.3"

var (
	builds  string // a directory of this run
	oneMake = sync.OnceValues(func() (string, error) { return makeIn("one") })
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if builds, err = os.MkdirTemp("", "cached-packages"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(builds)
	return m.Run()
}

// makeIn runs `make packages` into a directory of its own.
func makeIn(name string, vars ...string) (string, error) {
	dir := filepath.Join(builds, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return dir, runMake("packages", append(vars, "OUT="+dir)...)
}

func runMake(target string, vars ...string) error {
	root, err := pin.Root()
	if err != nil {
		return err
	}
	cmd := exec.Command("make", append([]string{target, "VERSION=" + version}, vars...)...)
	cmd.Dir = root
	cmd.Env = append(withoutMake(os.Environ()), "SOURCE_DATE_EPOCH=1700000000")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}

// withoutMake is an environment without that of a `make test` around this one, which is
// for its own targets.
func withoutMake(environ []string) []string {
	return slices.DeleteFunc(environ, func(v string) bool { return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS") })
}

// once skips a test of what other programs make, where its own race detector has
// nothing to see.
func once(t *testing.T) {
	t.Helper()
	if figure.Instrumented {
		t.Skip("builds and runs other programs: tested without the race detector")
	}
}

// built returns the directory with what `make packages` makes.
func built(t *testing.T) string {
	t.Helper()
	once(t)
	dir, err := oneMake()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// output runs a program and returns what it printed.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}
