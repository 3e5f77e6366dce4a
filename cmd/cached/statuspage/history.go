package statuspage

import (
	"context"
	"sync"
	"time"

	"github.com/zonecache/cached/block"
)

const tiers = len(block.Tiers)

// Counts are what each of block.Tiers served to programs since the daemon began.
type Counts [tiers]Count

func (c Counts) minus(o Counts) Counts {
	for t := range c {
		c[t].Blocks -= o[t].Blocks
		c[t].Bytes -= o[t].Bytes
	}
	return c
}

func (c Counts) plus(o Counts) Counts {
	for t := range c {
		c[t].Blocks += o[t].Blocks
		c[t].Bytes += o[t].Bytes
	}
	return c
}

func (c Counts) total() (all Count) {
	for _, of := range c {
		all.Blocks += of.Blocks
		all.Bytes += of.Bytes
	}
	return all
}

const (
	// Every is how often a History is told of what was served.
	Every = 10 * time.Second
	// Span is how far back a History goes.
	Span = time.Hour

	maxSamples = int(Span/Every) + 1
)

// A History remembers what was served within the last hour: 361 samples of 88 bytes.
type History struct {
	mu      sync.Mutex
	samples [maxSamples]sample // a ring
	taken   int                // ever
}

type sample struct {
	at    time.Time
	total Counts
}

// An interval is what was served between two samples.
type interval struct {
	number   int // of its later sample, counted from the daemon's start
	from, to time.Time
	served   Counts
}

// Add notes what had been served by a moment, later than those before.
func (h *History) Add(at time.Time, total Counts) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.samples[h.taken%maxSamples] = sample{at, total}
	h.taken++
}

// Watch adds what total says, now and then every ten seconds, until ctx ends.
func (h *History) Watch(ctx context.Context, total func() Counts) {
	ticker := time.NewTicker(Every)
	defer ticker.Stop()
	for {
		h.Add(time.Now(), total())
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// until returns what was served in the last hour, the oldest first, up to now, when
// total had been served since the start.
func (h *History) until(now time.Time, total Counts) []interval {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := min(h.taken, maxSamples)
	list := make([]interval, 0, kept)
	for n := h.taken - kept + 1; n <= h.taken && h.taken > 0; n++ {
		was, is := h.samples[(n-1)%maxSamples], sample{now, total}
		if n < h.taken {
			is = h.samples[n%maxSamples]
		}
		if was.at.Before(now.Add(-Span)) || !is.at.After(was.at) {
			continue
		}
		list = append(list, interval{number: n, from: was.at, to: is.at, served: is.total.minus(was.total)})
	}
	return list
}
