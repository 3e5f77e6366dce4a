package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zonecache/cached/loadtest/bench"
)

// benchOf runs `cached bench` on a daemon and returns its result.
func benchOf(t *testing.T, d *demoDaemon, args ...string) *bench.Result {
	t.Helper()
	cmd := exec.Command("cached", append([]string{"bench", "--server", d.client.URL(), "--json", "-"}, args...)...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cached bench %s: %v\n%s", strings.Join(args, " "), err, complaints.String())
	}
	r, err := bench.ReadJSON(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A start is recorded, exported, and read again: from the file in both forms, and as
// the daemon expects it.
func TestBenchReadsWhatAStartHasRead(t *testing.T) {
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	const size = 10_000_000
	want := publishFile(t, origin, "app", size)
	d := startTestDaemon(t, "--data-dir", filepath.Join(dir, "data"), "--origin", "file://"+origin, "--l2-size", "0")
	newReading("serve", 1, size, 5).start(t, d, "app", want, atOnce)
	eventually(t, "the start is listed", func() bool {
		out, _ := traceCommand(t, origin, "ls", "app")
		return strings.Contains(out, "serve")
	})
	files := map[string]string{}
	for _, form := range []string{"json", "overlaybd"} {
		files[form] = filepath.Join(dir, "trace."+form)
		if out, ok := traceCommand(t, origin, "export", "app", files[form], "--workload", "serve", "--format", form); !ok {
			t.Fatal(out)
		}
	}
	var touches struct{ Touches []struct{} }
	p, err := os.ReadFile(files["json"])
	if err != nil || json.Unmarshal(p, &touches) != nil || len(touches.Touches) == 0 {
		t.Fatalf("%s (%v)", p, err)
	}
	n := len(touches.Touches)
	for _, args := range [][]string{{"--trace", files["json"]}, {"--trace", files["overlaybd"]}, {"--workload", "serve"}} {
		r := benchOf(t, d, append([]string{"--image", "app", "--starts", "--arrivals", "burst:2", "--verify", "all"}, args...)...)
		if r.Load.Images[0].Blocks != n || r.Reads != int64(2*n) || r.Starts.Failed != 0 || r.Verified != int64(2*n) {
			t.Errorf("%v: %d blocks, %d reads; the start has read %d", args, r.Load.Images[0].Blocks, r.Reads, n)
		}
	}
	// As an agent does: the daemon has read ahead, and the start counts as one.
	starts := prefetchLedger(t, d.client).GetUsed().GetBlocks()
	benchOf(t, d, "--image", "app", "--starts", "--session", "--workload", "serve", "--arrivals", "burst:1")
	if now := prefetchLedger(t, d.client).GetUsed().GetBlocks(); now == starts {
		t.Error("a start with a session uses nothing that was read ahead")
	}
}

// The first of two starts is from the origin, the second is not; where the daemon is made
// cold, both are, also what another image has too when it is by a drill. What the daemon's ledger says agrees with what clients were told.
func TestBenchColdStarts(t *testing.T) {
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	content := publishFile(t, origin, "app", 5_000_000)
	publishBytes(t, origin, "app:v2", content)
	d := startTestDaemon(t, "--data-dir", filepath.Join(dir, "data"), "--origin", "file://"+origin, "--l2-size", "64MiB", "--l2-min-free", "0")
	load := []string{"--image", "app", "--starts", "--parallel", "1", "--arrivals", "burst:1", "--rounds", "2"}
	for i, tt := range []struct {
		args   []string
		rounds uint64
	}{{nil, 1}, {[]string{"--cold", "purge"}, 2}, {[]string{"--cold", "drill"}, 2}, {[]string{"--cold", "drill", "--image", "app:v2"}, 2}, {[]string{"--cold", "purge"}, 0}} {
		args, rounds := append(slices.Clone(load), tt.args...), tt.rounds
		r := benchOf(t, d, args...)
		if why := r.NotCold; (why != "") != (i == 4) {
			t.Errorf("%v: not cold: %q", tt.args, why)
		}
		blocks := uint64(r.Load.Images[0].Blocks)
		if r.Origin == nil || r.Origin.Reads != rounds*blocks || r.Tiers["l4"].Count != int64(rounds*blocks) || r.Reads != int64(2*blocks) {
			t.Errorf("%v: origin %+v, tiers %v, of %d blocks", tt.args, r.Origin, r.Tiers, blocks)
		}
		if r.CPU.ServerSeconds == nil || *r.CPU.ServerSeconds < 0 || r.Daemon[0].Memory == 0 {
			t.Errorf("what the server used is not known: %+v", r.Daemon)
		}
	}
}
