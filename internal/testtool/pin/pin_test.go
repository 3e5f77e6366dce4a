package pin

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	const text = `module example.com/m

go 1.26.0

tool example.com/one/cmd/one

tool (
	example.com/two/v2/cmd/two // why
	example.com/three/v3
)

require example.com/one v1.2.3

require (
	example.com/two v1.0.0 // indirect
	example.com/two/v2 v2.0.1 // indirect
	example.com/three/v3 v3.0.0-20260101000000-abcdefabcdef
)

replace (
	example.com/four => ../four
)
`
	want := []Tool{
		{Name: "one", Package: "example.com/one/cmd/one", Module: "example.com/one", Version: "v1.2.3"},
		{Name: "two", Package: "example.com/two/v2/cmd/two", Module: "example.com/two/v2", Version: "v2.0.1"},
		{Name: "three", Package: "example.com/three/v3", Module: "example.com/three/v3", Version: "v3.0.0-20260101000000-abcdefabcdef"},
	}
	got, err := parse(text)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("parse = %+v, %v, want %+v", got, err, want)
	}
	if _, err := parse("tool example.com/one/cmd/one\n"); err == nil || !strings.Contains(err.Error(), "example.com/one/cmd/one") {
		t.Fatalf("a tool that nothing requires: %v", err)
	}
}

func TestTheRepositoryPinsItsTools(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	tools, err := Tools(root)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, tool := range tools {
		if seen[tool.Name] {
			t.Errorf("%s is pinned twice", tool.Name)
		}
		seen[tool.Name] = true
	}
	for _, name := range []string{"golangci-lint", "gotestsum", "buf", "protoc-gen-go", "protoc-gen-connect-go", "versitygw", "grpcurl", "benchstat", "helm", "kubeconform", "kube-apiserver", "nfpm", "cyclonedx-gomod", "ghz"} {
		if !seen[name] {
			t.Errorf("%s is not pinned", name)
		}
	}
}

func TestRootOutsideTheRepository(t *testing.T) {
	t.Chdir(t.TempDir())
	if root, err := Root(); err == nil {
		t.Fatalf("Root = %s", root)
	}
}

// A protoc-gen-go is small and its sources are in the module cache anyway.
func TestInstall(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "bin")
	t.Setenv(BinEnv, dir)
	t.Setenv("HOME", filepath.Join(dir, "nonesuch")) // a test that moves HOME still builds from the user's cache

	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if path, err := Install(t.Context(), root, "protoc-gen-go", io.Discard); err != nil || path != filepath.Join(dir, "protoc-gen-go") {
				t.Errorf("Install = %s, %v", path, err)
			}
		})
	}
	wg.Wait()
	path := filepath.Join(dir, "protoc-gen-go")
	first, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Install(t.Context(), root, "protoc-gen-go", io.Discard); err != nil {
		t.Fatal(err)
	}
	if again, err := os.Stat(path); err != nil || !os.SameFile(first, again) {
		t.Fatalf("built again though the right version was there (%v)", err)
	}
	if err := os.WriteFile(path, []byte("not it"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Install(t.Context(), root, "protoc-gen-go", io.Discard); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() < 1<<20 {
		t.Fatalf("a broken binary was not replaced (%v)", err)
	}
	if _, err := os.Stat(os.Getenv("HOME")); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the go command worked in the test's HOME (%v)", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*.new.*"))
	if err != nil || len(left) > 0 {
		t.Fatalf("left behind: %v, %v", left, err)
	}
}

func TestInstallErrors(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(BinEnv, t.TempDir())
	if _, err := Install(t.Context(), root, "nonesuch", io.Discard); err == nil || !strings.Contains(err.Error(), "nonesuch") {
		t.Errorf("an unknown tool: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Install(ctx, root, "protoc-gen-go", io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("a dead context: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv(BinEnv, filepath.Join(file, "bin"))
	if _, err := Install(t.Context(), root, "protoc-gen-go", io.Discard); err == nil {
		t.Error("a bin directory below a file: no error")
	}
}

func TestLockExcludes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var inside, most atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			unlock, err := Lock(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			defer unlock()
			if n := inside.Add(1); n > 1 {
				most.Store(n)
			}
			inside.Add(-1)
		})
	}
	wg.Wait()
	if most.Load() > 1 {
		t.Fatal("two held the lock at once")
	}
	unlock, err := Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := Lock(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Lock of a held lock = %v, want a deadline", err)
	}
}
