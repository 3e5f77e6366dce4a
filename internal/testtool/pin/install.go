package pin

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// BinEnv names the directory that tools are built into, in place of
// <repository>/.cache/bin.
const BinEnv = "CACHED_TOOLS"

// Install returns the path of the named tool, building it first unless the
// pinned version, built by the running Go release, is there already. The first
// build of a large one takes minutes on two cores and needs the Go module
// proxy; progress gets a line before it, and ctx bounds it.
func Install(ctx context.Context, root, name string, progress io.Writer) (string, error) {
	tools, err := Tools(root)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(tools, func(t Tool) bool { return t.Name == name })
	if i < 0 {
		return "", fmt.Errorf("pin: %s: no tool directive of a go.mod in %s ends in it", name, strings.Join(modules, ", "))
	}
	dir, err := binDir(root)
	if err != nil {
		return "", fmt.Errorf("pin: %s: %w", name, err)
	}
	bin := filepath.Join(dir, name)
	if tools[i].isBuilt(bin) {
		return bin, nil
	}
	unlock, err := Lock(ctx, filepath.Join(dir, "."+name+".lock"))
	if err != nil {
		return "", fmt.Errorf("pin: %s: %w", name, err)
	}
	defer unlock()
	if tools[i].isBuilt(bin) { // by whoever held the lock before us
		return bin, nil
	}
	fmt.Fprintf(progress, "building %s@%s into %s\n", tools[i].Package, tools[i].Version, dir)
	if err := tools[i].build(ctx, bin); err != nil {
		return "", err
	}
	return bin, nil
}

func binDir(root string) (string, error) {
	dir := os.Getenv(BinEnv)
	if dir == "" {
		dir = filepath.Join(root, ".cache", "bin")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o755)
}

// isBuilt reports whether the binary at path is this tool as pinned.
func (t Tool) isBuilt(path string) bool {
	info, err := buildinfo.ReadFile(path)
	if err != nil || info.Path != t.Package || info.GoVersion != runtime.Version() || info.Main.Path != t.Module || info.Main.Version != t.Version {
		return false
	}
	told := ""
	for _, s := range info.Settings {
		if s.Key == "-ldflags" {
			told = s.Value
		}
	}
	return told == t.ldflags()
}

// ldflags tell a program its version where it does not know that from its module.
func (t Tool) ldflags() string {
	if t.Module == "k8s.io/kubernetes" {
		return "-X k8s.io/component-base/version.gitVersion=" + t.Version
	}
	return ""
}

// build puts the tool at path by renaming, so that nobody runs half a binary.
func (t Tool) build(ctx context.Context, path string) error {
	// A name of our own: the go command of a killed install may still be writing.
	fresh := fmt.Sprintf("%s/.%s.new.%d", filepath.Dir(path), t.Name, os.Getpid())
	defer os.Remove(fresh)
	args := []string{"build", "-mod=readonly", "-o", fresh, t.Package}
	if flags := t.ldflags(); flags != "" {
		args = slices.Insert(args, 1, "-ldflags", flags)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = t.Dir
	cmd.Env = append(startEnviron(), "CGO_ENABLED=0", "GOWORK=off", "PWD="+t.Dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pin: build %s@%s: %w\n%s", t.Package, t.Version, err, strings.TrimSpace(string(out)))
	}
	if !t.isBuilt(fresh) {
		return fmt.Errorf("pin: build %s: the result is not %s", t.Package, t.Version)
	}
	if err := os.Rename(fresh, path); err != nil {
		return fmt.Errorf("pin: build %s: %w", t.Package, err)
	}
	return nil
}

// startEnviron returns the environment this process was started with. A test
// that has moved HOME since must not send the go command to an empty cache,
// where it would download and compile everything again.
func startEnviron() []string {
	text, err := os.ReadFile("/proc/self/environ")
	if err != nil {
		return os.Environ()
	}
	return strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")
}
