package origin

import (
	"math/rand/v2"
	"sync"
	"time"
)

const (
	firstPause = 250 * time.Millisecond
	maxPause   = 5 * time.Second
	// lastResort is how many pauses in a row an origin may cause and still be
	// asked when no other origin is left. Below it, a short failure of the only
	// origin fails only the reads it hit; beyond it, reads fail at once instead
	// of each waiting for the same time-out.
	lastResort = 3
)

// A circuit remembers that an origin fails, so that reads pass it by for a
// pause that doubles. When a pause is over, one read tries the origin while the
// others still pass it by.
type circuit struct {
	mu       sync.Mutex
	pauses   int       // in a row; 0: the origin works
	until    time.Time // end of the pause
	lastErr  error     // what caused it
	announce bool      // the failure was logged
}

// enter returns nil when the origin may be asked; else why not, and whether it
// may be asked all the same when nothing else is left.
func (c *circuit) enter(now time.Time) (desperate bool, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.pauses == 0:
		return false, nil
	case now.Before(c.until):
		return c.pauses < lastResort, c.lastErr
	}
	// This read is the probe; until it returns the others pass by.
	c.pauses++
	c.until = now.Add(pause(c.pauses))
	return false, nil
}

// failed notes a failure and reports whether it is the first of a row.
func (c *circuit) failed(now time.Time, err error) (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastErr = err
	// A failure within a pause is that of the probe, which began the pause, or
	// of a read that was under way when it began: no new one.
	if c.pauses == 0 || !now.Before(c.until) {
		c.pauses++
		c.until = now.Add(pause(c.pauses))
	}
	return !c.swapAnnounced(true)
}

// succeeded ends the pause and reports whether there was one.
func (c *circuit) succeeded() (was bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pauses, c.lastErr = 0, nil
	return c.swapAnnounced(false)
}

func (c *circuit) swapAnnounced(v bool) (old bool) {
	old, c.announce = c.announce, v
	return old
}

// pause returns the n-th pause of a row, n >= 1, less up to a fifth of it so
// that the hosts of a zone do not come back together.
func pause(n int) time.Duration {
	d := maxPause
	if n <= 5 {
		d = min(firstPause<<(n-1), maxPause)
	}
	return d - rand.N(d/5)
}
