package api

import (
	"net"
	"time"
)

// A stallConn fails a write its peer does not accept within the timeout: a
// client that stops reading must not keep a block and a place among the reads
// in progress. net/http's WriteTimeout would count the time the block takes to
// be read too. The lane's connections are watched by its sweep instead.
type stallConn struct {
	net.Conn
	timeout time.Duration
}

// Write implements [net.Conn]. The deadline is set each time since net/http
// clears it between requests.
func (c *stallConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
