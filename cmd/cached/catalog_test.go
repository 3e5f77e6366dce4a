package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOldestManifestCopiesGo(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "manifests"), 0o755); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for i, name := range []string{"newest", "middle", "oldest"} {
		file := filepath.Join(dir, "manifests", name)
		if err := os.WriteFile(file, []byte(strings.Repeat("x", 100)), 0o600); err != nil {
			t.Fatal(err)
		}
		at := now.Add(-time.Duration(i) * time.Hour)
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := pruneManifests(dir, 250); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Join(dir, "manifests"))
	if err != nil || len(left) != 2 || left[0].Name() != "middle" || left[1].Name() != "newest" {
		t.Fatalf("left %v, %v", left, err)
	}
}

func TestOriginOfAnOddDirectory(t *testing.T) {
	c := Default()
	c.DataDir = "/data/50% off?#1"
	c.complete()
	if c.ownOrigin() != "/data/50% off?#1/origin" || strings.ContainsAny(c.Origins[0], "?# ") {
		t.Fatalf("origin %q", c.Origins[0])
	}
}
