package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecache/cached/block/blocktest"
)

// publishAnd publishes n bytes with more flags, and returns what it printed.
func publishAnd(t *testing.T, origin string, n int, args ...string) (out, complaint string, ok bool) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bytes")
	if err := os.WriteFile(file, blocktest.Bytes(uint64(n), n), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := exec.Command("cached", append([]string{"publish", "file:" + file, "--name", "app", "--origin", "file://" + origin}, args...)...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		complaint = string(exit.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	return string(p), complaint, err == nil
}

func TestPublishPrepares(t *testing.T) {
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	publishFile(t, origin, "other", 1_000)
	d := startTestDaemon(t, "--data-dir", filepath.Join(dir, "data"), "--origin", "file://"+origin, "--l2-size", "64MiB", "--l2-min-free", "0")
	if _, err := d.client.GetImage(t.Context(), "app"); err == nil {
		t.Fatal("it is there before it is published")
	}
	// The daemon has just heard that there is no such image, and then that it is the
	// first one: both must not count.
	for _, n := range []int{3_000_000, 5_000_000} {
		out, complaint, ok := publishAnd(t, origin, n, "--prepare", "--json", "--server", d.client.URL())
		var row published
		if err := json.Unmarshal([]byte(out), &row); err != nil || !ok {
			t.Fatalf("%v: %s %s", err, out, complaint)
		}
		if p := row.Prepared; p == nil || p.State != "READY" || p.Manifest != row.Manifest || p.BytesDone != uint64(n) {
			t.Errorf("%d bytes: %+v", n, p)
		}
		if r := heldOf(t, d, "app"); r.Bytes != uint64(n) || r.BytesHeld != r.Bytes {
			t.Errorf("%+v", r)
		}
	}
	out, complaint, ok := publishAnd(t, origin, 4_000_000, "--prepare", "--no-wait", "--server", d.client.URL())
	if !ok || !strings.Contains(out, "prepared   ") {
		t.Errorf("%s %s", out, complaint)
	}
}

func TestWhatIsPublishedStandsWithoutADaemon(t *testing.T) {
	origin := filepath.Join(t.TempDir(), "origin")
	nobody, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	out, complaint, ok := publishAnd(t, origin, 2_000_000, "--prepare", "--server", "http://"+nobody)
	if ok || !strings.Contains(out, "app is blake3:") || !strings.Contains(complaint, "app is published, but not prepared: ") || strings.Count(complaint, "\n") != 1 {
		t.Errorf("%s\n%s", out, complaint)
	}
	if refs, _ := filepath.Glob(filepath.Join(origin, "refs", "*")); len(refs) != 1 {
		t.Errorf("%v", refs)
	}
	if _, complaint, ok := publishAnd(t, origin, 1000, "--no-wait"); ok || !strings.Contains(complaint, "--no-wait is about --prepare") {
		t.Error(complaint)
	}
}
