package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecache/cached/api/cachedv1"
)

// purge runs `cached purge`, and returns what it printed.
func purge(t *testing.T, d *demoDaemon, args ...string) (row purgedRow, complaint string, ok bool) {
	t.Helper()
	out, complaint, ok := cachedAt(t, d, "purge", append([]string{"--json"}, args...)...)
	if out != "" {
		if err := json.Unmarshal([]byte(out), &row); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return row, complaint, ok
}

// publishBytes publishes content under a name.
func publishBytes(t *testing.T, origin, name string, content []byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bytes")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cached", "publish", "file:"+file, "--name", name, "--origin", "file://"+origin).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestPurgeDropsWhatNoOtherImageHolds(t *testing.T) {
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	app := publishFile(t, origin, "app", 8_000_000)
	shared := append(app[:3_000_000:3_000_000], publishFile(t, origin, "unseen", 2_000_000)...)
	publishBytes(t, origin, "cousin", shared)
	// A daemon that learns reads blocks once more soon after a start, to lay them together.
	d := startTestDaemon(t, "--data-dir", filepath.Join(dir, "data"), "--origin", "file://"+origin, "--l2-size", "64MiB", "--l2-min-free", "0", "--prefetch=false")
	readImage(t, d, "app", app)
	all := heldOf(t, d, "app")
	if all.BlocksHeld != all.Blocks {
		t.Fatalf("%+v", all)
	}

	// Nobody here knows the others: all of it goes, and comes back by itself.
	row, complaint, ok := purge(t, d, "app")
	if !ok || row.Blocks != all.Blocks || row.Bytes != all.Bytes || len(row.Kept) != 0 {
		t.Errorf("%+v %s", row, complaint)
	}
	if r := heldOf(t, d, "app"); r.BlocksHeld != 0 {
		t.Errorf("%d blocks are still here", r.BlocksHeld)
	}
	readImage(t, d, "app", app)

	// One whose name was seen keeps what it shares.
	readImage(t, d, "cousin", shared)
	row, complaint, ok = purge(t, d, "app")
	if !ok || len(row.Kept) != 1 || row.Kept[0].Image != "cousin" || row.Kept[0].Reason != "known" || row.Kept[0].Blocks == 0 || row.Blocks+row.Kept[0].Blocks != all.Blocks {
		t.Fatalf("%+v %s", row, complaint)
	}
	if r := heldOf(t, d, "cousin"); r.BlocksHeld != r.Blocks {
		t.Errorf("the other image lost blocks: %+v", r)
	}
	readImage(t, d, "app", app)
	if r := quietBooks(t, d.client); r.Errors != 0 {
		t.Errorf("%d reads failed", r.Errors)
	}

	if out, complaint, ok := cachedAt(t, d, "purge", "app"); !ok || !strings.Contains(out, "app: dropped ") || !strings.Contains(out, "of cousin, which is known") {
		t.Errorf("%s %s", out, complaint)
	}
	if _, complaint, ok := purge(t, d, "nothing"); ok || !strings.Contains(complaint, "nothing") {
		t.Errorf("%s", complaint)
	}
}

func TestPurgeRefusesWhatIsPinnedOrOpen(t *testing.T) {
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	publishFile(t, origin, "app", 3_000_000)
	d := startTestDaemon(t, "--data-dir", filepath.Join(dir, "data"), "--origin", "file://"+origin, "--l2-size", "64MiB", "--l2-min-free", "0")
	pinned, complaint, ok := pinImage(t, d, "app")
	if !ok {
		t.Fatal(complaint)
	}
	if _, complaint, ok := purge(t, d, "app"); ok || !strings.Contains(complaint, "app is pinned on this host: unpin it first, or force it") {
		t.Errorf("%s", complaint)
	}
	// By its id it is another one that is pinned: nothing of it goes.
	if row, complaint, ok := purge(t, d, pinned.Manifest); !ok || row.Blocks != 0 || len(row.Kept) != 1 || row.Kept[0].Reason != "pinned" {
		t.Errorf("%+v %s", row, complaint)
	}
	if _, complaint, ok := cachedAt(t, d, "unpin", "app"); !ok {
		t.Fatal(complaint)
	}
	session, err := d.client.OpenImage(t.Context(), &cachedv1.OpenImageRequest{Image: "app"})
	if err != nil {
		t.Fatal(err)
	}
	if _, complaint, ok := purge(t, d, "app"); ok || !strings.Contains(complaint, "app is open") {
		t.Errorf("%s", complaint)
	}
	if row, complaint, ok := purge(t, d, "app", "--force"); !ok || row.Blocks != pinned.Blocks {
		t.Errorf("%+v %s", row, complaint)
	}
	if err := d.client.CloseSession(t.Context(), session.GetSessionId()); err != nil {
		t.Fatal(err)
	}
	if _, complaint, ok := pinImage(t, d, "app"); !ok {
		t.Fatal(complaint)
	}
	if row, complaint, ok := purge(t, d, "app", "--force"); !ok || row.Blocks != pinned.Blocks || pinOf(t, d, "app") != nil {
		t.Errorf("the pin goes with it: %+v %s", row, complaint)
	}
	if n := quietBooks(t, d.client).Pinned.Bytes; n != 0 {
		t.Errorf("%d bytes are kept", n)
	}
}
