package peer

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

func TestBreaker(t *testing.T) {
	now := time.Now()
	tests := []struct {
		name     string
		failures []gravity
		open     bool
	}{
		{"nothing", nil, false},
		{"one failure", []gravity{light}, false},
		{"two in a row", []gravity{light, light}, true},
		{"a stall", []gravity{grave}, true},
		{"three that broke off", []gravity{faint, faint, faint}, false},
		{"four that broke off", []gravity{faint, faint, faint, faint}, true},
	}
	for _, tt := range tests {
		var b breaker
		for _, g := range tt.failures {
			b.failed(g, "test", now)
		}
		if state, n, _ := b.state(now); b.enter(now) == tt.open || (state == Open) != tt.open || n != len(tt.failures) {
			t.Errorf("%s: %v after %d failures", tt.name, state, n)
		}
	}
}

func TestBreakerTriesOnceAfterEachPause(t *testing.T) {
	var b breaker
	now := time.Now()
	last := time.Duration(0)
	for i := range 8 {
		if !b.failed(grave, "test", now) {
			t.Fatalf("failure %d began no pause", i)
		}
		if b.failed(grave, "test", now) {
			t.Fatal("a failure within the pause began another")
		}
		until := b.until.Sub(now)
		if until < last*3/4 || until > maxPause || i > 0 && i < 4 && until < last*5/4 {
			t.Errorf("pause %d is %v, the one before %v", i, until, last)
		}
		last = until
		if b.enter(now.Add(until - 1)) {
			t.Error("asked within the pause")
		}
		now = now.Add(until)
		if !b.passes(now) || !b.enter(now) {
			t.Error("not tried after the pause")
		}
		if b.passes(now) || b.enter(now) {
			t.Error("two try at once")
		}
		if state, _, _ := b.state(now); state != HalfOpen {
			t.Errorf("%v while one tries", state)
		}
	}
	b.withdrawn()
	if !b.enter(now) {
		t.Error("not tried by another, though the first gave up")
	}
	b.succeeded()
	if state, n, reason := b.state(now); state != Closed || n != 0 || reason != "" || !b.enter(now) || !b.enter(now) {
		t.Errorf("%v, %d failures, %q after a success", state, n, reason)
	}
}

// A node that answers each ask with a redirect fails all of them.
func TestAnswersWithoutBytesDoNotTakeBackFailures(t *testing.T) {
	var b breaker
	now := time.Now()
	for range tolerated / faint {
		b.answered()
		b.failed(faint, "redirects without end", now)
	}
	if state, _, _ := b.state(now); state != Open {
		t.Errorf("%v after %d failures with answers in between", state, tolerated/faint)
	}
	b.answered() // one that tries it
	if state, _, reason := b.state(now); state != Closed || reason != "" {
		t.Errorf("%v, %q after an answer", state, reason)
	}
	if b.succeeded(); b.failed(faint, "test", now) {
		t.Error("a block has not taken back the failures")
	}
}

// Who was let in and never says how it went must not keep others out for ever.
func TestBreakerForgetsALostTry(t *testing.T) {
	var b breaker
	now := time.Now()
	b.failed(grave, "test", now)
	now = b.until
	if !b.enter(now) || b.enter(now) || !b.enter(now.Add(firstPause)) {
		t.Error("a try counts for one pause")
	}
}

func TestANoticeOfDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c")
		b := z.block(1, 256<<10, "b", "c")
		a := z.nodes["a"]
		z.fault = func(q asking) fault {
			if q.to == "b" {
				return fault{hang: true}
			}
			return fault{}
		}
		time.AfterFunc(100*time.Millisecond, func() { a.tier.Suspect("b", "gossip says so") })
		started := time.Now()
		a.mustRead(b)
		if took := time.Since(started); took > 100*time.Millisecond+hurried+heirPatience+50*time.Millisecond {
			t.Errorf("took %v after a notice at 100 ms", took)
		}
		if h := a.tier.Health()[0]; h.State != Open || h.Reason == "" {
			t.Errorf("%+v", h)
		}
		// A notice does not end what makes progress.
		z.fault = func(q asking) fault { return fault{chunk: 20 * time.Millisecond} }
		_ = rest(context.Background(), maxPause)
		before := a.tier.Stats()
		time.AfterFunc(100*time.Millisecond, func() { a.tier.Suspect("b", "gossip is wrong") })
		a.mustRead(z.block(2, 256<<10, "b", "c"))
		if after := a.tier.Stats(); after.Orphans != before.Orphans {
			t.Error("a transfer that went on was broken off")
		}
	})
}

// One transfer that stalls ends the wait of the others in the line of that node.
func TestNobodyWaitsForANodeThatIsPassedBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c")
		a := z.nodes["a"].tier
		n := a.peers.get("b")
		into := block.NewArrival(block.Sum(nil), block.DefaultPool)
		defer into.Leave()
		z.fault = func(asking) fault { return fault{hang: true} }
		done := make(chan error)
		go func() {
			_, err := a.fetch(t.Context(), placement.Member{Name: "b"}, placement.Ask{}, into)
			done <- err
		}()
		synctest.Wait()
		a.distrust(n, grave, "stalled", block.ErrCorrupt)
		if err := <-done; !errors.Is(err, block.ErrUnavailable) || errors.Is(err, block.ErrCorrupt) {
			t.Errorf("got %v", err)
		}
	})
}

func TestPeersForgetWhoLeftLongAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b")
		a := z.nodes["a"].tier
		a.peers.get("stranger").counts.sent.Add(3)
		a.peers.get("b").counts.sent.Add(4)
		if h := a.Health(); len(h) != 2 || h[0].Node != "b" {
			t.Errorf("%+v", h)
		}
		_ = rest(context.Background(), 2*forgetAfter)
		if h := a.Health(); len(h) != 1 || h[0].Node != "b" {
			t.Errorf("%+v", h)
		}
		if s := a.Stats(); s.Sent != 7 {
			t.Errorf("%d sent, want 7: counts only grow", s.Sent)
		}
	})
}

func TestInventedNamesOfReadersFillNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b")
		b := z.block(1, 1000, "b")
		tier := z.nodes["b"].tier
		for i := range 100 {
			name := fmt.Sprint("stranger", i)
			a, err := tier.Answer(t.Context(), b.ID(), placement.Ask{Reader: name}, nil)
			if err != nil || a.Verdict != placement.Serve {
				t.Fatalf("%+v, %v", a, err)
			}
			a.Done(b.Len(), nil)
			tier.Suspect(name, "somebody says so")
		}
		if known := len(tier.peers.known); known > 1 {
			t.Errorf("%d neighbours of a zone of two", known)
		}
		if s := tier.Stats(); s.Sent < 100 {
			t.Errorf("%d blocks sent, want 100 at least", s.Sent)
		}
	})
}
