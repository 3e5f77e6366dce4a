package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/agent"
)

// adminPage returns what the daemon's admin address answers.
func adminPage(t *testing.T, d *demoDaemon, path string) string {
	t.Helper()
	status, err := d.client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get("http://" + status.GetAdminAddress() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// readImage reads the whole image through the daemon and checks it.
func readImage(t *testing.T, d *demoDaemon, name string, want []byte) {
	t.Helper()
	img, err := openImage(t.Context(), agent.Options{Image: name, Daemon: d.client})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	got := make([]byte, len(want))
	if _, err := img.ReadAt(got, 0); err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Fatal("wrong bytes")
	}
}

func checkSeries(t *testing.T, metrics string, want ...string) {
	t.Helper()
	for _, line := range want {
		if !strings.Contains(metrics, "\n"+line+"\n") {
			t.Errorf("/metrics does not say %q", line)
		}
	}
}

func TestDamagedBlockInL2IsCountedOnceAndReadElsewhere(t *testing.T) {
	dir := t.TempDir()
	origin, data := filepath.Join(dir, "origin"), filepath.Join(dir, "data")
	want := publishFile(t, origin, "img", 200_000) // one block
	args := []string{"--data-dir", data, "--origin", "file://" + origin, "--l2-size", "64MiB", "--l2-min-free", "0"}
	first := startTestDaemon(t, args...)
	readImage(t, first, "img", want)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	damage(t, filepath.Join(data, "l2", "segments"))

	d := startTestDaemon(t, args...)
	readImage(t, d, "img", want)
	readImage(t, d, "img", want)
	checkBooks(t, d.client)
	checkSeries(t, adminPage(t, d, "/metrics"),
		`cached_integrity_failures_total{source="l2"} 1`,
		`cached_tier_reads_total{outcome="corrupt",tier="l2"} 1`,
		`cached_tier_evictions_total{tier="l2"} 0`,
		`cached_tier_declines_total{reason="sick",tier="l2"} 0`,
		`cached_tier_sick{tier="l2"} 0`,
	)
}

// The daemon is ready, for it serves every block; what is wrong is shown.
func TestReadOnlyL2IsAWarning(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a read-only file system needs root: run this test as root")
	}
	dir := t.TempDir()
	origin, data := filepath.Join(dir, "origin"), filepath.Join(dir, "data")
	l2 := filepath.Join(data, "l2")
	if err := os.MkdirAll(l2, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", l2, "tmpfs", 0, "size=96m"); err != nil {
		t.Skipf("mount tmpfs: %v: run as root where mounting is allowed", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(l2, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	want := publishFile(t, origin, "img", 200_000)
	args := []string{"--data-dir", data, "--origin", "file://" + origin, "--l2-size", "64MiB", "--l2-min-free", "0"}
	first := startTestDaemon(t, args...)
	if s, err := first.client.Status(t.Context()); err != nil || len(s.GetWarnings()) != 0 {
		t.Fatalf("warnings of a daemon that is well: %v, %v", s.GetWarnings(), err)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", l2, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}

	d := startTestDaemon(t, args...)
	readImage(t, d, "img", want)
	s, err := d.client.Status(t.Context())
	if err != nil || len(s.GetNotReady()) != 0 {
		t.Fatalf("not ready: %v, %v", s.GetNotReady(), err)
	}
	const warning = "l2: read-only file system; reads go on"
	var text strings.Builder
	if err := printStatus(&text, s); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "WARNING") || !strings.Contains(text.String(), warning) {
		t.Errorf("cached status does not warn:\n%s", text.String())
	}
	if page := adminPage(t, d, "/"); !strings.Contains(page, "Warning:</strong> "+warning) {
		t.Error("the status page does not warn")
	}
	checkSeries(t, adminPage(t, d, "/metrics"), `cached_tier_sick{tier="l2"} 1`)
}

// A full disk at the start costs L2, not the daemon, and is not hidden: a new one, and
// one on which there was room the last time.
func TestFullDiskAtStartServesWithoutL2(t *testing.T) {
	for name, used := range map[string]bool{"new": false, "used before": true} {
		t.Run(name, func(t *testing.T) { fullDiskAtStart(t, used) })
	}
}

func fullDiskAtStart(t *testing.T, used bool) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	want := publishFile(t, origin, "img", 200_000)
	small := filepath.Join(dir, "small")
	if err := os.Mkdir(small, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=16m"); err != nil {
		t.Skip("no tmpfs can be mounted here:", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(small, 0); err != nil {
			t.Error(err)
		}
	})
	args := []string{"--data-dir", filepath.Join(dir, "data"), "--l2-dir", filepath.Join(small, "l2"), "--origin", "file://" + origin, "--l2-size", "64MiB", "--l2-min-free", "0"}
	if used {
		if err := startTestDaemon(t, args...).stop(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(small, "filler"), make([]byte, 17<<20), 0o600); err == nil {
		t.Fatal("the small file system took all of it")
	}
	d := startTestDaemon(t, args...)
	readImage(t, d, "img", want)
	s, err := d.client.Status(t.Context())
	if err != nil || len(s.GetNotReady()) != 0 || len(s.GetWarnings()) != 1 || !strings.Contains(s.GetWarnings()[0], "l2: ") {
		t.Fatalf("status %v, %v: want ready with a warning", s, err)
	}
}

// A watermark above what the disk has free is said, not silently obeyed.
func TestNoRoomAboveTheWatermarkIsAWarning(t *testing.T) {
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	want := publishFile(t, origin, "img", 200_000)
	d := startTestDaemon(t, "--data-dir", filepath.Join(dir, "data"), "--origin", "file://"+origin, "--l2-size", "64MiB", "--l2-min-free", "8000TiB")
	readImage(t, d, "img", want)
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	for {
		s, err := d.client.Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.GetWarnings()) == 1 && strings.Contains(s.GetWarnings()[0], "stay free") {
			return
		}
	}
}
