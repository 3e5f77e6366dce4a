package memory

import (
	"sync"
	"time"

	"github.com/zonecache/cached/block"
)

// An entry is a block and the second, of its tier's time, in which it came.
type entry struct {
	block.Block
	second int32
}

// A census counts entries by the second in which they came, which tells the age of
// the oldest without a list of them all.
type census struct {
	began time.Time

	mu   sync.Mutex
	come map[int32]int // seconds in which entries came that are still here
}

func newCensus() census { return census{began: time.Now(), come: map[int32]int{}} }

// enter counts a block that is here from now on.
func (c *census) enter(b block.Block) entry {
	e := entry{b, int32(time.Since(c.began) / time.Second)}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.come[e.second]++
	return e
}

func (c *census) leave(e entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.come[e.second]--; c.come[e.second] == 0 {
		delete(c.come, e.second)
	}
}

// oldest returns when the oldest entry came; the zero time when there is none.
func (c *census) oldest() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	first, some := int32(0), false
	for second := range c.come {
		if !some || second < first {
			first, some = second, true
		}
	}
	if !some {
		return time.Time{}
	}
	return c.began.Add(time.Duration(first) * time.Second)
}
