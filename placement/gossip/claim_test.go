package gossip

import (
	"testing"
	"time"
)

// A claim outlasts the suspicion of the former self: those who suspect it refuse
// nothing, and accept nothing.
func TestContest(t *testing.T) {
	const window, longest = 8 * time.Second, 15 * time.Second
	var c contest
	now := time.Now()
	if _, ok := c.pause(now, window, longest); ok || c.open() {
		t.Error("a contest before any refusal")
	}
	if !c.refused(now) || c.refused(now.Add(time.Second)) {
		t.Error("the first refusal begins a contest, the second does not")
	}
	for after, want := range map[time.Duration]time.Duration{time.Second: claimPause, 8 * time.Second: time.Second, 9 * time.Second: 1125 * time.Millisecond} {
		if wait, ok := c.pause(now.Add(after), window, longest); !ok || wait != want {
			t.Errorf("after %v: %v, %v; want %v", after, wait, ok, want)
		}
	}
	c.refused(now.Add(time.Hour))
	if wait, _ := c.pause(now.Add(time.Hour), window, longest); wait != longest {
		t.Errorf("a twin is asked about every %v", wait)
	}
	if _, ok := c.pause(now.Add(time.Hour+window+1), window, longest); ok || c.open() {
		t.Error("the contest does not end")
	}
	pace := DefaultTiming()
	for n, most := range map[int]time.Duration{1: 9600 * time.Millisecond, 16: 11600 * time.Millisecond, 1000: 28800 * time.Millisecond} {
		if got := pace.window(n); got < most || got > most+7*time.Second {
			t.Errorf("%d nodes: %v, a suspicion lasts up to %v", n, got, most)
		}
	}
}
