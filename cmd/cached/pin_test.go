package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/prefetch"
)

// pinImage runs `cached pin`, and returns what it printed.
func pinImage(t *testing.T, d *demoDaemon, args ...string) (row pinRow, complaint string, ok bool) {
	t.Helper()
	out, complaint, ok := cachedAt(t, d, "pin", append([]string{"--json"}, args...)...)
	if out != "" {
		if err := json.Unmarshal([]byte(out), &row); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return row, complaint, ok
}

// heldOf returns how much of an image this host has, as --check counts it.
func heldOf(t *testing.T, d *demoDaemon, image string) warmRow {
	t.Helper()
	rows, complaint, _ := warm(t, d, image, "--all", "--check")
	for _, r := range rows {
		return r
	}
	t.Fatal(complaint)
	return warmRow{}
}

func TestAPinnedImageStaysWhileOthersPassThrough(t *testing.T) {
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	publishFile(t, origin, "app", 8_000_000)
	publishFile(t, origin, "big", 26_000_000)
	others := map[string][]byte{}
	for i, name := range []string{"x", "y", "z"} {
		others[name] = publishFile(t, origin, name, 60_000_001+i)
	}
	args := []string{"--data-dir", filepath.Join(dir, "data"), "--origin", "file://" + origin, "--l1-size", "0", "--l2-size", "64MiB", "--l2-min-free", "0"}
	d := startTestDaemon(t, args...)
	if m := metrics(t, d); !strings.Contains(m, "\ncached_pinned_bytes 0\n") || !strings.Contains(m, "\ncached_pinned_images 0\n") {
		t.Error("the series are not there before there is a pin")
	}
	row, complaint, ok := pinImage(t, d, "app")
	if !ok || row.State != "PINNED" || row.Blocks == 0 || row.BlocksHeld != row.Blocks || row.Bytes != 8_000_000 || row.Scope != "essential" {
		t.Fatalf("%v %s", row, complaint)
	}
	all := row.Blocks
	if _, complaint, ok := pinImage(t, d, "big", "--all"); ok || !strings.Contains(complaint, "big takes 25 MiB: with the other pins that is 32 MiB, and pins may take 32 MiB") {
		t.Errorf("more than half of L2: %s", complaint)
	}
	for _, name := range []string{"x", "y"} {
		readImage(t, d, name, others[name])
	}
	if r := heldOf(t, d, "app"); r.BlocksHeld != all {
		t.Errorf("%d of %d blocks are there", r.BlocksHeld, all)
	}
	if list, err := exec.Command("cached", "images", "ls", "--server", d.client.URL()).CombinedOutput(); err != nil || !strings.Contains(string(list), " PINNED ") {
		t.Errorf("%s, %v", list, err)
	}
	if r := quietBooks(t, d.client); r.Pinned != (pinnedRow{1, all, 8_000_000, 32 << 20}) {
		t.Errorf("%v", r.Pinned)
	}
	if m := metrics(t, d); !strings.Contains(m, "\ncached_pinned_bytes 8e+06\n") || !strings.Contains(m, "\ncached_pinned_incomplete_images 0\n") {
		t.Error("the series do not show the pin")
	}

	// The next daemon keeps it, even without the origin.
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	d = startTestDaemon(t, args...)
	readImage(t, d, "z", others["z"])
	if r := heldOf(t, d, "app"); r.BlocksHeld != all {
		t.Errorf("after a restart %d of %d blocks are there", r.BlocksHeld, all)
	}
	eventually(t, "the next daemon has looked at it", func() bool { return pinOf(t, d, "app").GetState() == cachedv1.PinState_PIN_STATE_PINNED })

	for name, tt := range map[string]struct{ image, says string }{
		"no such image": {"nothing", "nothing"}, "an id": {row.Manifest, "by its name"},
	} {
		if _, complaint, ok := pinImage(t, d, tt.image); ok || !strings.Contains(complaint, tt.says) {
			t.Errorf("%s: %s", name, complaint)
		}
	}
	if out, complaint, ok := cachedAt(t, d, "unpin", "app"); !ok || !strings.Contains(out, "app is pinned no longer") {
		t.Errorf("%s %s", out, complaint)
	}
	if _, complaint, ok := cachedAt(t, d, "unpin", "app"); ok || !strings.Contains(complaint, "not pinned") {
		t.Errorf("it is pinned no longer: %s", complaint)
	}
	if files, _ := os.ReadDir(filepath.Join(dir, "data", "pins")); len(files) != 0 {
		t.Errorf("%d files are left", len(files))
	}
}

// pinOf returns the pin of an image, nil when there is none.
func pinOf(t *testing.T, d *demoDaemon, image string) *cachedv1.Pin {
	t.Helper()
	list, err := d.client.ListPins(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return findPin(list, image)
}

// A pin follows its name when the image was prepared.
func TestAPinFollowsItsName(t *testing.T) {
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	publishFile(t, origin, "app", 3_000_000)
	d := startTestDaemon(t, "--data-dir", filepath.Join(dir, "data"), "--origin", "file://"+origin, "--l2-size", "64MiB", "--l2-min-free", "0")
	first, complaint, ok := pinImage(t, d, "app", "--all")
	if !ok {
		t.Fatal(complaint)
	}
	publishFile(t, origin, "app", 4_000_000)
	eventually(t, "the daemon sees that it has moved", func() bool {
		resp, err := d.client.GetImage(t.Context(), "app")
		return err == nil && resp.GetManifestId() != first.Manifest
	})
	if _, out, ok := prepare(t, d, "app", "--all"); !ok {
		t.Fatal(out)
	}
	eventually(t, "the pin is of the new image", func() bool {
		p := pinOf(t, d, "app")
		return p.GetManifestId() != first.Manifest && p.GetState() == cachedv1.PinState_PIN_STATE_PINNED && p.GetBytesHeld() == 4_000_000
	})
	if n := quietBooks(t, d.client).Pinned.Bytes; n != 4_000_000 {
		t.Errorf("%d bytes are kept", n)
	}
}

func TestPinsNeedAnL2(t *testing.T) {
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	publishFile(t, origin, "app", 1_000_000)
	d := startTestDaemon(t, "--data-dir", filepath.Join(dir, "data"), "--origin", "file://"+origin, "--l2-size", "0")
	if _, complaint, ok := pinImage(t, d, "app"); ok || !strings.Contains(complaint, "this host has no L2") {
		t.Errorf("%s", complaint)
	}
}

func TestPinFiles(t *testing.T) {
	dir := t.TempDir()
	f := pinFiles{dir, slog.New(slog.DiscardHandler)}
	want := &pin{
		image: "app", manifest: "blake3:1", scope: cachedv1.PreparationScope_PREPARATION_SCOPE_ALL,
		blocks: []prefetch.Block{{ID: block.ID{1}, Length: 10}, {ID: block.ID{2}, Length: 1 << 20}},
	}
	if err := f.save(want); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"damaged": `{"image":"dam`, "foreign": `{"image":"another"}`, "torn": `{"image":"torn","blocks":"AAAA"}`, ".hidden": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name+".json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	all := f.load()
	if len(all) != 1 || all[0].image != "app" || all[0].scope != want.scope || len(all[0].blocks) != 2 || all[0].blocks[1] != want.blocks[1] {
		t.Errorf("%v", all)
	}
	f.remove("app")
	if all := f.load(); len(all) != 0 {
		t.Errorf("%v", all)
	}
	if err := (pinFiles{"", slog.New(slog.DiscardHandler)}).save(want); err == nil {
		t.Error("a pin that is not kept across restarts is taken for one that is")
	}
}

// A block of two pins counts once, and goes with the last of them.
func TestKeepSet(t *testing.T) {
	a, b, c := prefetch.Block{ID: block.ID{1}, Length: 10}, prefetch.Block{ID: block.ID{2}, Length: 20}, prefetch.Block{ID: block.ID{3}, Length: 40}
	k := newKeepSet()
	steps := []struct {
		had, has []prefetch.Block
		bytes    int64
		ok       bool
		kept     string
	}{
		{nil, []prefetch.Block{a, b}, 30, true, "ab"},
		{nil, []prefetch.Block{b, c}, 70, true, "abc"},
		{[]prefetch.Block{a, b}, []prefetch.Block{b}, 60, true, "bc"},
		{[]prefetch.Block{b}, []prefetch.Block{a, b}, 70, true, "abc"},
		{[]prefetch.Block{b, c}, nil, 30, true, "ab"},
		{[]prefetch.Block{a, b}, []prefetch.Block{a, b, c, {ID: block.ID{4}, Length: 1}}, 71, false, "ab"},
		{[]prefetch.Block{a, b}, nil, 0, true, ""},
	}
	for i, s := range steps {
		bytes, ok := k.swap(s.had, s.has, 70)
		kept := ""
		for _, one := range []prefetch.Block{a, b, c} {
			if k.has(one.ID) {
				kept += string(rune('a' + one.ID[0] - 1))
			}
		}
		if bytes != s.bytes || ok != s.ok || kept != s.kept {
			t.Errorf("step %d: %d bytes, %v, %q, want %v", i, bytes, ok, kept, s)
		}
	}
	if blocks, bytes := k.size(); blocks != 0 || bytes != 0 {
		t.Errorf("%d blocks of %d bytes are left", blocks, bytes)
	}
}

// metrics returns what the admin port shows.
func metrics(t *testing.T, d *demoDaemon) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + d.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
