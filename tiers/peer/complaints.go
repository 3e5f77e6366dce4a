package peer

import (
	"log/slog"
	"sync"
	"time"
)

// complaintGap is how much time lies between two complaints of a kind: a node that
// misleads reads does so to many at once, and must not flood the log.
const complaintGap = time.Second

// complaints logs what other nodes say that makes no sense, sparingly and each
// kind for itself.
type complaints struct {
	mu    sync.Mutex
	kinds map[string]*complaint // by message, which is a constant
}

// A complaint is a kind of complaints.
type complaint struct {
	last   time.Time // when the latest was logged
	hidden int       // how many since then were not
}

// warn logs a complaint unless one of its kind was logged just now. The message
// is the kind.
func (c *complaints) warn(log *slog.Logger, message string, args ...any) {
	hidden, ok := c.due(message, time.Now())
	if !ok {
		return
	}
	if hidden > 0 {
		args = append(args, "not_logged", hidden)
	}
	log.Warn(message, args...)
}

// due reports whether to log one now, and how many were not logged before it.
func (c *complaints) due(message string, now time.Time) (hidden int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.kinds[message]
	if k == nil {
		if c.kinds == nil {
			c.kinds = map[string]*complaint{}
		}
		k = &complaint{}
		c.kinds[message] = k
	}
	if !k.last.IsZero() && now.Sub(k.last) < complaintGap {
		k.hidden++
		return 0, false
	}
	hidden, k.last, k.hidden = k.hidden, now, 0
	return hidden, true
}
