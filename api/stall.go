package api

import (
	"net"
	"time"
)

// A stallConn fails a write its peer does not accept within the timeout, or
// half of it: a client that stops reading must not keep a block and a place
// among the reads in progress. net/http's WriteTimeout would count the time the
// block takes to be read too, and a timer for each request would be garbage.
//
// The deadline is moved only once half of it has passed, because moving it may
// wake a thread that sleeps in epoll_wait.
type stallConn struct {
	net.Conn
	timeout time.Duration
	moved   time.Time // when the deadline was last set; writes never overlap
}

// Write implements [net.Conn].
func (c *stallConn) Write(p []byte) (int, error) {
	if now := time.Now(); now.Sub(c.moved) > c.timeout/2 {
		if err := c.SetWriteDeadline(now.Add(c.timeout)); err != nil {
			return 0, err
		}
		c.moved = now
	}
	return c.Conn.Write(p)
}
