package api

import (
	"net"
	"time"
)

// A stallListener gives each connection it accepts a limit on how long a peer
// may leave one write waiting.
type stallListener struct {
	net.Listener
	timeout time.Duration
}

// Accept implements [net.Listener].
func (l stallListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &stallConn{c, l.timeout}, nil
}

// A stallConn fails a write its peer does not accept in time: a client that
// stops reading must not keep a block and a place among the reads in progress.
// net/http's WriteTimeout would count the time the block takes to be read too,
// and a timer for each request would be garbage; moving the connection's own
// deadline costs neither.
type stallConn struct {
	net.Conn
	timeout time.Duration
}

// Write implements [net.Conn].
func (c *stallConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
