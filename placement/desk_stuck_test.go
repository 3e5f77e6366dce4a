package placement

import (
	"testing"
	"time"

	"github.com/zonecache/cached/block"
)

// Hosts that hang take the owner's sends with them. Their orphans must not wait
// until the owner gives these sends up.
func TestOrphansDoNotWaitForSendsThatAreStuck(t *testing.T) {
	id, now := block.Sum([]byte("x")), time.Now()
	d := NewDesk(Limits{PerBlock: 2, Total: 8})
	ask := func(reader, lost string, at time.Duration) Verdict {
		r := Request{Ask: Ask{Reader: reader, Lost: lost}, Block: id, Holding: Whole, Role: Owner, Alive: func(string) bool { return false }}
		return d.Decide(r, now.Add(at)).Verdict
	}
	for _, hangs := range []string{"a", "b"} {
		if v := ask(hangs, "", 0); v != Serve {
			t.Fatalf("%s: %v", hangs, v)
		}
	}
	if v := ask("c", "a", stuckAfter-1); v != Wait {
		t.Errorf("an orphan behind sends that may end: %v, want wait", v)
	}
	if v := ask("c", "a", stuckAfter); v != Serve {
		t.Errorf("an orphan behind sends that are stuck: %v, want serve", v)
	}
	if v := ask("e", "a", stuckAfter+1); v != Wait {
		t.Errorf("the next orphan: %v, want it to wait for the send that has just begun", v)
	}
	d.Ended(id, "c", Delivered, now.Add(stuckAfter+2))
	if v := ask("e", "a", 2*stuckAfter+2); v != Serve {
		t.Errorf("the next orphan: %v, want serve", v)
	}
}
