package main

import (
	"path/filepath"
	"testing"

	"github.com/zonecache/cached/agent"
)

// A start whose pages should be there is not recorded and not read ahead of; when they are
// gone, what others have read comes ahead of it all the same.
func TestAStartThatHoldsPages(t *testing.T) {
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	const size = 40_000_000
	want := publishFile(t, origin, "app", size)
	d := startTestDaemon(t, "--data-dir", filepath.Join(dir, "data"), "--origin", "file://"+origin, "--l2-size", "0", "--l1-size", "256MiB")
	program := newReading("serve", 1, size, 60)
	traces := func() int {
		names, _ := filepath.Glob(filepath.Join(origin, "traces", "*", "*", "*"))
		return len(names)
	}
	program.start(t, d, "app", want, atOnce)
	eventually(t, "the start is learned from", func() bool {
		profiles, _ := filepath.Glob(filepath.Join(origin, "profiles", "named", "app", "*"))
		return len(profiles) == 1 && traces() == 1
	})

	hold := func() *agent.Image {
		img, err := openImage(t.Context(), agent.Options{Image: "app", Workload: "serve", Daemon: d.client, PagesHeld: true})
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	few := program
	few.offsets = few.offsets[:5]
	few.run(t, hold(), want)
	if p := prefetchLedger(t, d.client); p.GetPending().GetBlocks()+p.GetUsed().GetBlocks()+p.GetWasted().GetBlocks() != 0 {
		t.Errorf("read ahead of a start that has its pages: %v", p)
	}
	img := hold()
	few.offsets = program.offsets[:30]
	for _, off := range few.offsets {
		if _, err := img.ReadAt(make([]byte, 100), off); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "what others have read comes ahead", func() bool {
		p := prefetchLedger(t, d.client)
		return p.GetPending().GetBlocks()+p.GetUsed().GetBlocks() > 0
	})
	program.run(t, img, want)
	program.start(t, d, "app", want, atOnce)
	eventually(t, "a start that holds nothing is recorded", func() bool { return traces() >= 2 })
	if n := traces(); n != 2 {
		t.Errorf("%d starts were recorded, want the first and the last", n)
	}
	for _, w := range prefetchLedger(t, d.client).GetWorkloads() {
		if w.GetStarts() != 1 {
			t.Errorf("%d starts have an outcome, want the last one: %v", w.GetStarts(), w)
		}
	}
}
