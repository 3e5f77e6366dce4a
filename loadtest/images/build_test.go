package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/zonecache/cached/image"
	"github.com/zonecache/cached/image/rootfs"
	"github.com/zonecache/cached/image/source"
	"github.com/zonecache/cached/internal/figure"
)

func TestTiny(t *testing.T) {
	if figure.Instrumented {
		t.Skip("waits for other programs and does one thing at a time: a plain build finds what there is to find")
	}
	dir := t.TempDir()
	first, second := build(t, dir, "tiny"), build(t, dir, "tiny:v2")
	if first.Found || second.Found {
		t.Error("found in an empty directory")
	}
	nothingLeft(t, dir)
	t.Run("config", func(t *testing.T) { checkConfig(t, first) })
	t.Run("versions", func(t *testing.T) {
		got := checkVersions(t, first, second)
		if want := []string{"etc/services"}; !slices.Equal(got, want) {
			t.Errorf("the runtime layers differ in %v, want %v", got, want)
		}
	})
	t.Run("whiteout", func(t *testing.T) {
		if _, ok := entries(t, first, first.Layers[1])["usr/share/doc/.wh.busybox-static"]; !ok {
			t.Error("no whiteout for what the runtime layer's script removed")
		}
	})
	t.Run("published", func(t *testing.T) {
		checkPublished(t, first)
		checkPublished(t, second)
	})
	t.Run("starts", func(t *testing.T) { checkStart(t, second) })
	t.Run("found again", func(t *testing.T) {
		again := build(t, dir, "tiny:v1")
		if !again.Found || again.Layout != first.Layout || !slices.Equal(again.Layers, first.Layers) {
			t.Errorf("built %+v, then found %+v", first, again)
		}
	})
	t.Run("same bytes again", func(t *testing.T) {
		// A layer that a script made and one of files, by somebody with another umask.
		layers := filepath.Join(dir, "layers")
		for _, gone := range []string{filepath.Dir(first.Layout), filepath.Join(layers, first.Layers[1].Key), filepath.Join(layers, first.Layers[2].Key)} {
			if err := os.RemoveAll(gone); err != nil {
				t.Fatal(err)
			}
		}
		defer syscall.Umask(syscall.Umask(0o77))
		again := build(t, dir, "tiny")
		if again.Found || !slices.Equal(again.Layers, first.Layers) {
			t.Errorf("built %+v, then %+v", first.Layers, again.Layers)
		}
	})
	t.Run("unknown package", func(t *testing.T) { checkUnknownPackage(t, dir) })
	t.Run("cancelled", func(t *testing.T) { checkCancelled(t, dir) })
}

func checkConfig(t *testing.T, b Built) {
	t.Helper()
	cf, err := manifest(t, b).ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c := cf.Config
	if got := append(slices.Clone(c.Entrypoint), c.Cmd...); !slices.Equal(got, b.Start()) || len(got) < 2 {
		t.Errorf("starts %q, want %q", got, b.Start())
	}
	if !slices.Equal(c.Env, b.Env) || c.WorkingDir != "/app" || c.User != b.User || b.User == "" {
		t.Errorf("env %q, dir %q, user %q", c.Env, c.WorkingDir, c.User)
	}
	if cf.OS != "linux" || cf.Architecture == "" || !cf.Created.Equal(epoch) || len(cf.History) != len(b.Layers) {
		t.Errorf("config %+v", cf)
	}
}

// checkVersions checks that v1 and v2 differ as the package says, and returns the
// paths in which their runtime layers do.
func checkVersions(t *testing.T, first, second Built) []string {
	t.Helper()
	if first.Layers[0] != second.Layers[0] {
		t.Errorf("bases: %+v and %+v", first.Layers[0], second.Layers[0])
	}
	if first.Layers[1].Digest == second.Layers[1].Digest {
		t.Error("the runtime layers are the same")
	}
	app1, app2 := entries(t, first, first.Layers[2]), entries(t, second, second.Layers[2])
	if news := changed(app1, app2); !slices.Contains(news, "app/NEWS") || len(news) < 2 {
		t.Errorf("the app layers differ in %v", news)
	}
	return changed(entries(t, first, first.Layers[1]), entries(t, second, second.Layers[1]))
}

// checkPublished reads the image as `cached publish` does, which verifies the
// digests of all that is in the layout.
func checkPublished(t *testing.T, b Built) {
	t.Helper()
	src, err := source.Parse(b.Source(), source.Options{SpoolDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	content, err := src.Open(t.Context(), func(image.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	defer content.Bytes.Close()
	f, err := os.Create(filepath.Join(t.TempDir(), "erofs"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(f, content.Bytes); err != nil {
		t.Fatal(err)
	}
	fsys, err := rootfs.Open(f, content.Size)
	if err != nil {
		t.Fatal(err)
	}
	files, err := appFiles(b.Name, b.Tag)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if got, err := fs.ReadFile(fsys, name); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
	if info, err := fs.Stat(fsys, "bin/busybox"); err != nil || info.Size() < 1<<20 {
		t.Errorf("busybox: %v, %v", info, err)
	}
	if _, err := fs.Stat(fsys, "usr/share/doc/busybox-static"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a whiteout hides: %v", err)
	}
}

func checkUnknownPackage(t *testing.T, dir string) {
	t.Helper()
	const pkg = "no-such-package-anywhere"
	r, err := find("tiny")
	if err != nil {
		t.Fatal(err)
	}
	r.Packages = []string{pkg}
	before := list(t, dir)
	err = buildRecipe(t.Context(), r, dir, nil)
	if err == nil {
		t.Fatal("built")
	}
	for _, part := range []string{"images: tiny:v1: runtime layer: ", "Unable to locate package " + pkg} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	nothingLeft(t, dir)
	if after := list(t, dir); !slices.Equal(before, after) {
		t.Errorf("the directory held %v, then %v", before, after)
	}
}

// checkCancelled cancels a build while its script runs: nothing of it stays,
// neither files nor processes.
func checkCancelled(t *testing.T, dir string) {
	t.Helper()
	r, err := find("tiny")
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(": > /started; sleep 1000%d & wait", os.Getpid())
	hangs := layer{Name: runtimeLayer, On: &r.base, Shell: r.base.Shell, Script: script, Doing: "sleeping"}
	before := list(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b := builder{dir: dir, report: func(_, doing string) { t.Log(doing) }}
	if err := b.begin(ctx); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := b.layer(ctx, hangs)
		done <- err
	}()
	started := filepath.Join(dir, workPrefix+"*", "out", treeDir, "started")
	eventually(t, "the script to start", func() bool {
		found, err := filepath.Glob(started)
		return err == nil && len(found) == 1
	})
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it was cancelled", err)
	}
	b.end()
	nothingLeft(t, dir)
	if after := list(t, dir); !slices.Equal(before, after) {
		t.Errorf("the directory held %v, then %v", before, after)
	}
	eventually(t, "the script's processes to end", func() bool {
		lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
		return err == nil && !slices.ContainsFunc(lines, func(name string) bool {
			line, err := os.ReadFile(name)
			return err == nil && strings.Contains(string(line), fmt.Sprintf("sleep\x001000%d\x00", os.Getpid()))
		})
	})
}

// list returns what lies in dir, two levels deep.
func list(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*", "layers/*"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, names...)
	}
	return all
}
