package peer

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// sendAll has n sends at a time, of the bytes in the time given, for a while.
func sendAll(r *rate, now time.Time, n, bytes int, each, all time.Duration) time.Time {
	for end := now.Add(all); now.Before(end); {
		busy := make([]time.Duration, n)
		for i := range busy {
			busy[i] = r.began(now)
		}
		began := now
		now = now.Add(each)
		for i := range busy {
			r.ended(bytes, busy[i], now.Sub(began), now)
		}
	}
	return now
}

func TestRate(t *testing.T) {
	const mbit = 1_000_000 / 8
	now := time.Now()
	var r rate
	now = sendAll(&r, now, 2, mbit, 20*time.Millisecond, time.Second)
	if got := r.value(now); got != 0 {
		t.Errorf("%d Mbit/s of two sends, want unknown", got)
	}
	now = sendAll(&r, now, 4, mbit, 40*time.Millisecond, time.Second)
	if got := r.value(now); got < 95 || got > 105 {
		t.Errorf("%d Mbit/s, want 100", got)
	}
	now = sendAll(&r, now, 4, mbit, 160*time.Millisecond, time.Second) // slow readers
	if got := r.value(now); got < 95 {
		t.Errorf("%d Mbit/s with slow readers, want 100", got)
	}
	if got := r.value(now.Add(2 * rateHalf)); got != 0 {
		t.Errorf("%d Mbit/s long after, want unknown", got)
	}
	now = sendAll(&r, now, 4, mbit, 160*time.Millisecond, 3*rateHalf) // now it is slow
	if got := r.value(now); got < 24 || got > 30 {
		t.Errorf("%d Mbit/s after minutes, want 25", got)
	}
}

func TestNobodyIsSentToASlowNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c")
		members := []placement.Member{{Name: "a", Weight: 1, Rate: 100}, {Name: "b", Weight: 1, Rate: 25}, {Name: "c", Weight: 1, Rate: 100}}
		z.ring.Store(placement.NewRing(members))
		tier := z.nodes["a"].tier
		tier.compare()
		if tier.alive("b") || !tier.alive("c") || tier.alive("stranger") {
			t.Errorf("b %v, c %v, a stranger %v", tier.alive("b"), tier.alive("c"), tier.alive("stranger"))
		}
	})
}

// Sends whose source has nothing to send do not keep the others waiting.
func TestStarvingSendsGiveTheirPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p places
		p.free = 1
		w := func() *waiting { return &waiting{ending: t.Context(), next: waitGrace} }
		starving := block.NewArrival(block.Sum(nil), block.DefaultPool)
		defer starving.Leave()
		if err := starving.Begin(1000); err != nil {
			t.Fatal(err)
		}
		first, err := p.enter(t.Context(), w(), starving)
		if err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		b := block.Arrived(block.New([]byte("whole"), block.Memory))
		defer b.Leave()
		second, err := p.enter(t.Context(), w(), b)
		if took := time.Since(started); err != nil || took > 4*queuedEvery {
			t.Errorf("%v, waited %v", err, took)
		}
		p.exit(first)
		if p.free != 0 {
			t.Error("a place was given back twice")
		}
		p.exit(second)
		p.exit(second)
		if p.free != 1 || len(p.line) != 0 || len(p.placed) != 0 {
			t.Errorf("%+v", &p)
		}
	})
}

// How long sends took is counted with them: by their number it tells who is slow.
func TestTheTimeOfSendsIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b")
		z.fault = func(asking) fault { return fault{chunk: 50 * time.Millisecond} }
		z.nodes["a"].mustRead(z.block(1, 4*chunkBytes, "b"))
		if s := z.nodes["b"].tier.Stats(); s.Sent != 1 || s.Sending != 200*time.Millisecond {
			t.Errorf("%d sends took %v, want one of 200 ms", s.Sent, s.Sending)
		}
		if s := z.nodes["a"].tier.Stats(); s.Sending != 0 {
			t.Errorf("who sent nothing took %v", s.Sending)
		}
	})
}
