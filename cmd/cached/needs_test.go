package main

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Starts that name no workload, and read different things, do not make an image need
// next to nothing: what is pinned, prepared and looked for is what any of them read.
func TestStartsWithoutAWorkloadDoNotShrinkWhatIsPinned(t *testing.T) {
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	const size = 20_000_000
	want := publishFile(t, origin, "app", size)
	d := startTestDaemon(t, "--data-dir", filepath.Join(dir, "data"), "--origin", "file://"+origin, "--l2-size", "64MiB", "--l2-min-free", "0")
	touched := map[int]bool{}
	for i := range 4 {
		r := newReading("", uint64(i), size, 5)
		for at := range distinct(t, d, "app", r.offsets) {
			touched[at] = true
		}
		r.start(t, d, "app", want, atOnce)
	}
	eventually(t, "all that they read is pinned", func() bool {
		out, err := exec.Command("cached", "pin", "app", "--server", d.client.URL()).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		pin := pinOf(t, d, "app")
		return pin.GetBlocks() == uint64(len(touched))
	})
}
