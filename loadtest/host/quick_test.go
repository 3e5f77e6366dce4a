package host

import (
	"testing"

	"github.com/zonecache/cached/internal/figure"
)

// TestHost is a small version of each measurement. They share a lab.
func TestHost(t *testing.T) {
	if figure.Full() {
		t.Skip("at small size only; at full size each measurement runs alone, in a lab of its own")
	}
	l := newLab(t, learning, imageNames()...)
	for _, m := range []struct {
		name    string
		measure func(*testing.T, *lab)
	}{
		{"starts", measureStarts},
		{"fidelity", measureFidelity},
		{"reads", measureReads},
		{"dedup", measureDedup},
		{"robust", measureRobust},
	} {
		if !t.Run(m.name, func(t *testing.T) { m.measure(t, l) }) {
			return // what comes next would find a lab in trouble
		}
	}
}

// TestLearned is a small version of what daemons that learn are measured by.
func TestLearned(t *testing.T) {
	if figure.Full() {
		t.Skip("at small size only")
	}
	l := newLab(t, learning, imageNames()...)
	measureLearned(t, l)
	measureDemand(t, l)
}

// TestArtefacts is a small version of what is no container image: a code package and
// a memory snapshot.
func TestArtefacts(t *testing.T) {
	if figure.Full() {
		t.Skip("at small size only")
	}
	t.Run("package", measurePackage)
	t.Run("snapshot", measureSnapshot)
}
