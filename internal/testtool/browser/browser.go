// Package browser drives a real browser from a test: scripts of Node.js that use
// playwright-core with Debian's Chromium, and axe-core for what people with a screen
// reader or a keyboard need. Chromium and Node.js come from Debian; package-lock.json
// beside this file pins the two libraries, which npm puts below .cache/browser once.
package browser

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/zonecache/cached/internal/testtool"
	"github.com/zonecache/cached/internal/testtool/pin"
)

// A Browser runs scripts.
type Browser struct{ node, chromium, modules string }

// Find returns a browser. Where it cannot be had the test is skipped and says why.
func Find(tb testing.TB) Browser {
	tb.Helper()
	b := Browser{node: testtool.Debian(tb, "node"), chromium: testtool.Debian(tb, "chromium")}
	root, err := pin.Root()
	if err != nil {
		tb.Fatal(err)
	}
	pins := filepath.Join(root, "internal", "testtool", "browser")
	lock, err := os.ReadFile(filepath.Join(pins, "package-lock.json"))
	if err != nil {
		tb.Fatal(err)
	}
	dir := filepath.Join(root, ".cache", "browser", fmt.Sprintf("%.8x", sha256.Sum256(lock)))
	b.modules = filepath.Join(dir, "node_modules")
	if _, err := os.Stat(b.modules); errors.Is(err, fs.ErrNotExist) {
		npm := testtool.Debian(tb, "npm")
		if err := install(npm, pins, dir); err != nil {
			tb.Skipf("needs %s, which npm could not bring: %v", b.modules, err)
		}
	}
	return b
}

// install puts the pinned libraries below dir, which appears when it is whole.
func install(npm, pins, dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	unlock, err := pin.Lock(ctx, dir+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil { // by whoever held the lock before us
		return nil
	}
	fresh := dir + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := os.Mkdir(fresh, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(filepath.Join(pins, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(fresh, name), text, 0o644)
		}
		if err != nil {
			return err
		}
	}
	// Nothing of a package runs while it is installed.
	cmd := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = fresh
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w: %.300s", err, bytes.TrimSpace(out))
	}
	return os.Rename(fresh, dir)
}

// Run runs a script with the path of the browser and input, as JSON, for its first
// and second argument, and returns what it printed on standard output. It is told to
// end with ctx, and so ends the browser.
func (b Browser) Run(ctx context.Context, script string, input any) ([]byte, error) {
	text, err := json.Marshal(input)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, b.node, script, b.chromium, string(text))
	cmd.Env = append(os.Environ(), "NODE_PATH="+b.modules)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("%s: %w\n%s", filepath.Base(script), err, complaint.Bytes())
	}
	return out, nil
}
