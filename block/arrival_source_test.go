package block_test

import (
	"testing"

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
