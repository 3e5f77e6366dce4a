package peer

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

func TestHowLongTheOriginTakes(t *testing.T) {
	start := time.Now()
	at := func(d time.Duration) time.Time { return start.Add(d) }
	var o originTimes
	check := func(now, want time.Duration, what string) {
		t.Helper()
		if got := o.longest(at(now)); got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	check(0, 0, "nothing is known")
	o.proved("a", 9*time.Second, at(9*time.Second))
	o.proved("a", 8*time.Second, at(9*time.Second))
	check(9*time.Second, 0, "one peer alone says so")
	o.proved("b", 3*time.Second, at(9*time.Second))
	check(9*time.Second, 3*time.Second, "a second one says less")
	o.proved("c", 5*time.Second, at(20*time.Second))
	check(20*time.Second, 5*time.Second, "a third one says more")
	check(70*time.Second, 0, "what two of them said is old")
	o.proved("d", 0, at(70*time.Second))
	check(70*time.Second, 0, "one that let nobody wait says nothing")
}

func TestOwnReadsOfTheOriginCountWhileTheyLast(t *testing.T) {
	var o originTimes
	end := o.begin()
	later := time.Now().Add(7 * time.Second)
	if got := o.longest(later); got < 7*time.Second {
		t.Errorf("a read in progress counts as %v", got)
	}
	end()
	if got := o.longest(time.Now()); got > time.Second {
		t.Errorf("a read that took no time counts as %v", got)
	}
}

// Owners that send this read to somebody who lets it wait in vain, and then send the
// block at once, have not shown that the origin is slow.
func TestWhatOthersLetWaitDoesNotProveAnOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c", "d")
		blocks := []block.Block{z.block(1, 1000, "b"), z.block(2, 1000, "d")}
		redirected := map[block.ID]bool{}
		z.fault = func(a asking) fault {
			switch {
			case a.from == "a" && a.to == "c":
				return fault{waits: 30}
			case a.from == "a" && !redirected[a.id]:
				redirected[a.id] = true
				return fault{reply: &placement.Reply{Verdict: placement.Redirect, To: "c", Epoch: a.Epoch}}
			}
			return fault{}
		}
		began := time.Now()
		for _, b := range blocks {
			z.nodes["a"].mustRead(b)
		}
		if took := time.Since(began); took < 2*30*queuedEvery {
			t.Fatalf("nobody let the reads wait: %v", took)
		}
		if got := z.nodes["a"].tier.origin.longest(time.Now()); got > 0 {
			t.Errorf("the origin is held to take %v", got)
		}
	})
}
