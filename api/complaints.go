package api

import (
	"log/slog"
	"sync/atomic"
	"time"
)

// complaintGap is how much time lies between two complaints: whoever can reach
// the port must not be able to flood the log.
const complaintGap = time.Second

// complaints logs what strangers do wrong, sparingly.
type complaints struct {
	last   atomic.Int64 // when the latest was logged, in Unix nanoseconds
	hidden atomic.Int64 // how many since then were not
}

func (c *complaints) warn(log *slog.Logger, message string, args ...any) {
	now, last := time.Now().UnixNano(), c.last.Load()
	if now-last < int64(complaintGap) || !c.last.CompareAndSwap(last, now) {
		c.hidden.Add(1)
		return
	}
	if n := c.hidden.Swap(0); n > 0 {
		args = append(args, "not_logged", n)
	}
	log.Warn(message, args...)
}
