package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecache/cached/api/cachedv1"
)

// prepare runs `cached prepare` at a daemon.
func prepare(t *testing.T, d *demoDaemon, args ...string) (row preparedRow, out string, ok bool) {
	t.Helper()
	p, err := exec.Command("cached", append([]string{"prepare", "--json", "--server", d.client.URL()}, args...)...).Output()
	out = string(p)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		out += string(exit.Stderr)
	}
	_ = json.NewDecoder(strings.NewReader(string(p))).Decode(&row)
	return row, out, err == nil
}

func TestPrepare(t *testing.T) {
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	const size = 20_000_000
	want := publishFile(t, origin, "app", size)
	serve := func(args ...string) *demoDaemon {
		return startTestDaemon(t, append([]string{"--data-dir", filepath.Join(dir, "data"), "--origin", "file://" + origin, "--l2-size", "64MiB", "--l2-min-free", "0"}, args...)...)
	}
	d := serve()
	row, out, ok := prepare(t, d, "app")
	if !ok || row.State != "READY" || row.Blocks == 0 || row.BlocksDone != row.Blocks || row.BytesDone != row.Bytes || row.Scope != "essential" {
		t.Fatalf("nothing was recorded, so all of it: %s", out)
	}
	all := row.Blocks
	if r := quietBooks(t, d.client); r.OriginReads != all {
		t.Errorf("%d origin reads for %d blocks", r.OriginReads, all)
	}
	list, err := exec.Command("cached", "images", "ls", "--server", d.client.URL()).CombinedOutput()
	if err != nil || !strings.Contains(string(list), "READY") {
		t.Errorf("%s, %v", list, err)
	}
	before := quietBooks(t, d.client).OriginReads
	newReading("serve", 1, size, 10).start(t, d, "app", want, atOnce)
	if after := quietBooks(t, d.client).OriginReads; after != before {
		t.Errorf("a start of a prepared image reads the origin %d times", after-before)
	}
	// Once a start was recorded, what it read is enough.
	eventually(t, "the start is in the profile", func() bool {
		found, _ := filepath.Glob(filepath.Join(origin, "profiles", "named", "app", "*"))
		return len(found) == 1
	})
	if row, out, ok := prepare(t, d, "app"); !ok || row.State != "READY" || row.Blocks == 0 || row.Blocks > 20 {
		t.Errorf("what starts read: %s", out)
	}
	if row, out, ok := prepare(t, d, "app", "--all"); !ok || row.Blocks != all {
		t.Errorf("all of it: %s", out)
	}

	for name, tt := range map[string]struct{ image, says string }{
		"no such image": {"nothing", "nothing"}, "no name": {"a/b", "image name"},
	} {
		if _, out, ok := prepare(t, d, tt.image); ok || !strings.Contains(out, tt.says) {
			t.Errorf("%s: %s", name, out)
		}
	}
	if err := d.client.WatchPreparation(t.Context(), "nothing", func(*cachedv1.Preparation) {}); err == nil {
		t.Error("an image that is not there is watched")
	}
}

// A preparation that was under way goes on with the next daemon; one that cannot be
// done says why.
func TestPreparationsOutliveTheDaemon(t *testing.T) {
	dir := t.TempDir()
	origin, data := filepath.Join(dir, "origin"), filepath.Join(dir, "data")
	publishFile(t, origin, "app", 3_000_000)
	publishFile(t, origin, "broken", 2_000_000)
	prepared := filepath.Join(data, "preparations")
	if err := os.MkdirAll(prepared, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"app":     `{"image":"app","state":"PREPARATION_STATE_PREPARING","scope":"PREPARATION_SCOPE_ALL","began":"2026-11-28T00:00:00Z"}`,
		"done":    `{"image":"done","state":"PREPARATION_STATE_READY","blocks":"7","blocksDone":"7"}`,
		"damaged": `{"image":"dam`,
		"foreign": `{"image":"another"}`,
	} {
		if err := os.WriteFile(filepath.Join(prepared, name+".json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d := startTestDaemon(t, "--data-dir", data, "--origin", "file://"+origin, "--l2-size", "0")
	states := func() map[string]string {
		list, err := d.client.ListPreparations(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]string{}
		for _, p := range list {
			all[p.GetImage()] = stateText(p)
		}
		return all
	}
	eventually(t, "what was under way is ready", func() bool { return states()["app"] == "READY" })
	if all := states(); len(all) != 2 || all["done"] != "READY" {
		t.Errorf("%v", all)
	}
	text, err := os.ReadFile(filepath.Join(prepared, "app.json"))
	if err != nil || !strings.Contains(string(text), "PREPARATION_STATE_READY") {
		t.Errorf("%s, %v", text, err)
	}

	resp, err := d.client.GetImage(t.Context(), "broken")
	if err != nil {
		t.Fatal(err)
	}
	removeBlock(t, origin, resp.GetManifest().GetBlocks()[1].GetId())
	row, out, ok := prepare(t, d, "broken")
	if ok || row.State != "FAILED" || !strings.Contains(out, "could not be prepared") {
		t.Errorf("a block is missing: %s", out)
	}
}

// removeBlock deletes a block from an origin that is a folder.
func removeBlock(t *testing.T, origin string, id []byte) {
	t.Helper()
	name := hex.EncodeToString(id)
	found := 0
	err := filepath.WalkDir(origin, func(file string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && e.Name() == name && strings.Contains(file, "blocks") {
			found++
			return os.Remove(file)
		}
		return err
	})
	if err != nil || found != 1 {
		t.Fatalf("%d files of %s, %v", found, name, err)
	}
}
