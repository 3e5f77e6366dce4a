package statuspage

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var began = time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC)

// reads are what was served when each of n steps had one block of l1 and four bytes.
func reads(n int) Counts { return Counts{{uint64(n), 4 * uint64(n)}} }

func TestAHistoryKeepsAnHour(t *testing.T) {
	var h History
	if got := h.until(began, reads(7)); len(got) != 0 {
		t.Errorf("it knows of %v before it was told of anything", got)
	}
	const hours = 3
	samples := hours * int(Span/Every)
	for i := range samples + 1 {
		h.Add(began.Add(time.Duration(i)*Every), reads(i))
	}
	now := began.Add(hours*Span + 4*time.Second)
	list := h.until(now, reads(samples+2))
	// 359 whole ones: the 360th began four seconds more than an hour ago.
	if len(list) != int(Span/Every) {
		t.Fatalf("%d intervals", len(list))
	}
	var sum Counts
	for i, in := range list {
		if i > 0 && (!in.from.Equal(list[i-1].to) || in.number != list[i-1].number+1) {
			t.Errorf("interval %d does not follow the one before it: %+v", i, in)
		}
		sum = sum.plus(in.served)
	}
	first, last := list[0], list[len(list)-1]
	if first.from.Before(now.Add(-Span)) || !last.to.Equal(now) || last.served != reads(2) {
		t.Errorf("from %+v to %+v", first, last)
	}
	if want := reads(int(Span/Every) - 1 + 2); sum != want {
		t.Errorf("%v, want %v", sum, want)
	}
}

func TestAHistoryThatJustBegan(t *testing.T) {
	var h History
	h.Add(began, reads(5))
	if got := h.until(began, reads(5)); len(got) != 0 {
		t.Errorf("no time has passed: %v", got)
	}
	if got := h.until(began.Add(time.Second), reads(6)); len(got) != 1 || got[0].served != reads(1) {
		t.Errorf("%v", got)
	}
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h History
		ctx, cancel := context.WithCancel(t.Context())
		var asked atomic.Int64
		go h.Watch(ctx, func() Counts { return reads(int(asked.Add(1))) })
		time.Sleep(Every*3 + time.Second) //nolint:forbidigo // in a bubble
		if got := h.until(time.Now(), reads(int(asked.Load()))); asked.Load() != 4 || len(got) != 4 || got[3].to.Sub(got[3].from) != time.Second {
			t.Errorf("asked %d times, %v", asked.Load(), got)
		}
		cancel()
		synctest.Wait()
		time.Sleep(Every * 3) //nolint:forbidigo // in a bubble
		if n := asked.Load(); n != 4 {
			t.Errorf("asked %d times, after it was told to end", n)
		}
	})
}
