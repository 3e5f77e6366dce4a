package block_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
)

func TestArrivalHearsItsSource(t *testing.T) {
	a := block.NewArrival(block.Sum([]byte("x")), block.DefaultPool)
	defer a.Leave()
	if first, waits := a.Heard(); !first.IsZero() || waits != 0 {
		t.Fatalf("nobody was asked, heard at %v, %d waits", first, waits)
	}
	a.Waiting()
	early, _ := a.Heard()
	a.Waiting()
	if first, waits := a.Heard(); first.IsZero() || first != early || waits != 2 {
		t.Fatalf("heard at %v, before at %v, %d waits, want 2", first, early, waits)
	}
	a.Asked()
	if first, waits := a.Heard(); !first.IsZero() || waits != 0 {
		t.Fatalf("another was asked, heard at %v, %d waits", first, waits)
	}
	if err := a.Begin(1); err != nil {
		t.Fatal(err)
	}
	if first, waits := a.Heard(); first.IsZero() || waits != 0 {
		t.Fatalf("it began, heard at %v, %d waits", first, waits)
	}
}

// What a source lets its asker wait counts from one sign to the next, and over all
// sources of an arrival; what it takes without a word does not.
func TestArrivalWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := block.NewArrival(block.Sum([]byte("x")), block.DefaultPool)
		defer a.Leave()
		for range 2 {
			a.Asked()
			for range 3 {
				<-time.After(100 * time.Millisecond)
				a.Waiting()
			}
		}
		a.Asked()
		if err := a.Begin(1); err != nil {
			t.Fatal(err)
		}
		if w := a.Waited(); w != 600*time.Millisecond {
			t.Errorf("waited %v", w)
		}
	})
}
