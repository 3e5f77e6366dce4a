package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecache/cached/agent"
	"github.com/zonecache/cached/prefetch"
)

// traceCommand runs `cached trace` on an origin.
func traceCommand(t *testing.T, origin string, args ...string) (out string, ok bool) {
	t.Helper()
	p, err := exec.Command("cached", append([]string{"trace"}, append(args, "--origin", "file://"+origin)...)...).CombinedOutput()
	return string(p), err == nil
}

func TestTracesAreListedExchangedAndRemoved(t *testing.T) {
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	const size = 10_000_000
	want := publishFile(t, origin, "app", size)
	publishFile(t, origin, "other", 100_000)
	run := func(args ...string) string {
		t.Helper()
		out, ok := traceCommand(t, origin, args...)
		if !ok {
			t.Fatalf("cached trace %s: %s", strings.Join(args, " "), out)
		}
		return out
	}
	if out := run("ls", "app"); !strings.Contains(out, "no start of this image was recorded") {
		t.Error(out)
	}
	d := startTestDaemon(t, "--data-dir", filepath.Join(dir, "data"), "--origin", "file://"+origin, "--l2-size", "0")
	newReading("serve", 1, size, 5).start(t, d, "app", want, atOnce)
	eventually(t, "the start is listed", func() bool { return strings.Contains(run("ls", "app"), "serve") })

	// Out, in as another workload's, and out again: the same touches.
	file := filepath.Join(dir, "trace.json")
	run("export", "app", file, "--workload", "serve")
	run("import", "app", file, "--workload", "copy")
	var was, is prefetch.Trace
	p, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(p, &was) != nil || json.Unmarshal([]byte(run("export", "app", "--workload", "copy")), &is) != nil {
		t.Fatalf("%s, %v", p, err)
	}
	if was.Workload != "serve" || is.Workload != "copy" || len(was.Touches) == 0 || len(is.Touches) != len(was.Touches) || is.Touches[0] != was.Touches[0] {
		t.Errorf("%+v became %+v", was, is)
	}
	raw := filepath.Join(dir, "trace.overlaybd")
	run("export", "app", raw, "--workload", "serve", "--format", "overlaybd")
	run("import", "app", raw, "--workload", "replayed", "--format", "overlaybd")
	if json.Unmarshal([]byte(run("export", "app", "--workload", "replayed")), &is) != nil || len(is.Touches) != len(was.Touches) {
		t.Errorf("by way of overlaybd %+v became %+v", was, is)
	}
	var rows []tracedRow
	if json.Unmarshal([]byte(run("ls", "app", "--json")), &rows) != nil || len(rows) != 3 || rows[0].Essential != len(was.Touches) || rows[0].Bytes == 0 {
		t.Errorf("%+v", rows)
	}
	if out := run("show", "app", "--workload", "serve"); !strings.Contains(out, "BEGAN") {
		t.Error(out)
	}

	for name, tt := range map[string]struct {
		args []string
		says string
	}{
		"another image":         {[]string{"import", "other", file}, "it is a trace of the image"},
		"a trace of overlaybd":  {[]string{"import", "app", raw}, "--format overlaybd reads the other form"},
		"JSON as overlaybd":     {[]string{"import", "app", file, "--format", "overlaybd"}, "magic number"},
		"another format":        {[]string{"import", "app", file, "--format", "csv"}, "want json or overlaybd"},
		"beyond the image":      {[]string{"import", "other", raw, "--format", "overlaybd"}, "beyond the image's"},
		"an unknown workload":   {[]string{"show", "app", "--workload", "nobody"}, `no start of workload "nobody" was recorded`},
		"an unknown image":      {[]string{"ls", "nothing"}, "nothing"},
		"a file that is absent": {[]string{"import", "app", filepath.Join(dir, "absent")}, "no such file"},
	} {
		if out, ok := traceCommand(t, origin, tt.args...); ok || !strings.Contains(out, tt.says) {
			t.Errorf("%s: %s", name, out)
		}
	}

	run("rm", "app", "--workload", "serve")
	if out, ok := traceCommand(t, origin, "show", "app", "--workload", "serve"); ok {
		t.Error(out)
	}
	if json.Unmarshal([]byte(run("ls", "app", "--json")), &rows) != nil || len(rows) != 2 {
		t.Errorf("%+v", rows)
	}
	if img, err := openImage(t.Context(), agent.Options{Image: "app", Workload: "copy", Daemon: d.client}); err != nil {
		t.Error(err)
	} else {
		eventually(t, "an imported trace is used", func() bool { return prefetchLedger(t, d.client).GetPending().GetBlocks() == uint64(len(was.Touches)) })
		img.Close()
	}
}
