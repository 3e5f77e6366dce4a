package api

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// idleTimeout is how long an unused connection is kept. It is shorter than the
// server's, so that a connection taken up again is rarely one just closed.
const idleTimeout = 60 * time.Second

// A connPool keeps idle connections to one server, the latest used on top so
// that the others can grow old.
type connPool struct {
	network string // "tcp" or "unix"
	address string
	tls     *tls.Config // nil: plain text
	dialer  net.Dialer
	maxIdle int

	mu     sync.Mutex
	idle   []*rawConn
	closed bool
}

// take returns an idle connection, or nil when a new one must be made.
func (p *connPool) take() *rawConn {
	now := time.Now()
	p.mu.Lock()
	var c *rawConn
	var old []*rawConn
	if n := len(p.idle); n > 0 {
		c = p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		if now.Sub(c.used) > idleTimeout { // then all below it are older
			old = append(p.idle, c)
			p.idle, c = nil, nil
		} else if n > 1 && now.Sub(p.idle[0].used) > idleTimeout {
			old = p.idle[:1:1]
			p.idle = append([]*rawConn(nil), p.idle[1:]...)
		}
	}
	p.mu.Unlock()
	for _, c := range old {
		c.net.Close()
	}
	return c
}

// dial makes a new connection.
func (p *connPool) dial(ctx context.Context) (*rawConn, error) {
	c, err := p.dialer.DialContext(ctx, p.network, p.address)
	if err != nil {
		return nil, err
	}
	if p.tls != nil {
		if c, err = shakeHands(ctx, c, p.tls); err != nil {
			return nil, err
		}
	}
	return &rawConn{net: c, out: make([]byte, 0, 512)}, nil
}

// put gives back a connection that can carry another request.
func (p *connPool) put(c *rawConn) {
	c.used = time.Now()
	p.mu.Lock()
	keep := !p.closed && len(p.idle) < p.maxIdle
	if keep {
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if !keep {
		c.net.Close()
	}
}

// close closes the idle connections; those in use close when they are put back.
func (p *connPool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, c := range idle {
		c.net.Close()
	}
}
