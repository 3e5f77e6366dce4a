package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecache/cached/agent"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// publishFile publishes n random bytes as an image into an origin folder.
func publishFile(t *testing.T, origin, name string, n int) []byte {
	t.Helper()
	p := blocktest.Bytes(uint64(n), n)
	file := filepath.Join(t.TempDir(), "bytes")
	if err := os.WriteFile(file, p, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("cached", "publish", "file:"+file, "--name", name, "--origin", "file://"+origin).CombinedOutput()
	if err != nil {
		t.Fatalf("publish: %v\n%s", err, out)
	}
	return p
}

// damage flips one bit in every file below dir.
func damage(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		p, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		p[len(p)/2] ^= 0x10
		return os.WriteFile(file, p, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWrongBytesInTheOriginAreNamedAndNeverServed(t *testing.T) {
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	publishFile(t, origin, "img", 300_000)
	damage(t, filepath.Join(origin, "blocks"))
	d := startTestDaemon(t, "--data-dir", filepath.Join(dir, "data"), "--origin", "file://"+origin, "--l2-size", "64MiB", "--l2-min-free", "0")
	img, err := openImage(t.Context(), agent.Options{Image: "img", Daemon: d.client})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { img.Close() })
	id := img.Manifest().Blocks[0].ID
	for range 2 { // the second read finds nothing cached either
		b, err := d.client.ReadBlock(context.Background(), id)
		if !errors.Is(err, block.ErrCorrupt) || !b.IsZero() {
			t.Fatalf("got %v, want ErrCorrupt", err)
		}
		if !strings.Contains(err.Error(), id.String()) {
			t.Fatalf("the error does not name the block: %v", err)
		}
	}
	if _, err := img.ReadAt(make([]byte, 10), 0); !errors.Is(err, block.ErrCorrupt) {
		t.Fatalf("read of the image: %v, want ErrCorrupt", err)
	}
	img.Close() // it may be reading ahead, and again
	if r := checkBooks(t, d.client); r.Errors < 3 || len(r.Rows) != 0 {
		t.Fatalf("served %v with %d errors, want nothing served", r.Rows, r.Errors)
	}
}

func TestWrongBytesInOneOriginAreReadFromTheNext(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	want := publishFile(t, first, "img", 2_000_000)
	publishFile(t, second, "img", 2_000_000)
	damage(t, filepath.Join(first, "blocks"))
	d := startTestDaemon(t, "--data-dir", filepath.Join(dir, "data"), "--origin", "file://"+first, "--origin", "file://"+second, "--l2-size", "0")
	readImage(t, d, "img", want)
	r := checkBooks(t, d.client)
	if r.Errors != 0 || r.ReadsPerBlock != 1 {
		t.Fatalf("%d errors, %.3f origin reads per block", r.Errors, r.ReadsPerBlock)
	}
}
