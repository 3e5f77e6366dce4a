package main

import (
	"path/filepath"
	"testing"
)

// A start counts by what its host has of what it needs: nothing, some, or most, though
// that may be little of the image.
func TestStartsCountByWhatTheirHostHolds(t *testing.T) {
	origin := filepath.Join(t.TempDir(), "origin")
	const size = 20_000_000
	want := publishFile(t, origin, "app", size)
	args, _ := joiner(t, "a", origin)
	d := startTestDaemon(t, append(args, "--l2-size", "64MiB", "--l2-min-free", "0", "--l2-admit", "always")...)
	counted := func(none, some, most float64) {
		t.Helper()
		s := samples(t, d)
		for held, n := range map[string]float64{"none": none, "some": some, "most": most} {
			if got := s["starts_total{held="+held+"}"]; got != n {
				t.Errorf("%g starts of hosts that held %s, want %g", got, held, n)
			}
		}
	}
	counted(0, 0, 0)
	program := newReading("serve", 1, size, 20)
	program.start(t, d, "app", want, atOnce)
	counted(1, 0, 0)
	eventually(t, "this host tells of the image, of what its starts need, and its workload", func() bool {
		return samples(t, d)["residency_entries{}"] == 3
	})
	program.start(t, d, "app", want, atOnce)
	counted(1, 0, 1)
	// Of another workload nothing is known, and this host has little of the image.
	newReading("migrate", 2, size, 20).start(t, d, "app", want, atOnce)
	counted(1, 1, 1)
}
