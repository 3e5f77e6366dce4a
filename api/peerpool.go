package api

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/placement"
)

// sweepGap is how often all idle connections are looked through for old ones.
const sweepGap = time.Minute

// A peerConn is a connection to another node.
type peerConn struct {
	rawConn
	raw     net.Conn    // under TLS, or the same: closing it ends everything at once
	records *recordConn // between them; nil: no TLS
	born    time.Time
	fd      syscall.RawConn
	batch   int // SO_RCVLOWAT
}

// wakeAfter makes a wait for bytes end only when n are there, or the connection
// ends. Over a slow network they come in packets of 1.4 KiB, and a wait that
// ended for each would cost more than all else. Never more may be asked for than
// will surely come.
func (c *peerConn) wakeAfter(n int) {
	if n == c.batch || c.fd == nil {
		return
	}
	c.batch = n
	// An error costs processor time, and no more.
	_ = c.fd.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT, n)
	})
}

// A peerPool keeps the idle connections to one node, the latest used on top so
// that the others can grow old, and its TLS sessions, so that a new connection
// is made in one round trip less and without signatures.
type peerPool struct {
	peers    *Peers
	node     string // whose certificate the connections have seen
	sessions tls.ClientSessionCache
	older    atomic.Bool // the log has it that the node is of an older version

	mu     sync.Mutex
	idle   []*peerConn
	closed bool
}

// pool returns the connections to a node, after it has closed those that grew
// old in all pools.
func (p *Peers) pool(to placement.Member) (*peerPool, error) {
	now := time.Now()
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errors.New("this node is shutting down")
	}
	var sweep []*peerPool
	if now.Sub(p.swept) > sweepGap {
		p.swept = now
		for _, pool := range p.pools {
			sweep = append(sweep, pool)
		}
	}
	pool, former := p.pools[to.Address], (*peerPool)(nil)
	if pool == nil || pool.node != to.Name {
		former = pool // of the node that had the address before
		pool = &peerPool{peers: p, node: to.Name, sessions: tls.NewLRUClientSessionCache(2 * p.options.MaxIdlePerPeer)}
		p.pools[to.Address] = pool
	}
	p.mu.Unlock()
	if former != nil {
		former.close()
	}
	for _, s := range sweep {
		s.closeOld(now.Add(-p.options.IdleTimeout))
	}
	return pool, nil
}

// dial makes a new connection.
func (p *Peers) dial(ctx context.Context, to placement.Member, pool *peerPool) (*peerConn, error) {
	conn := &peerConn{rawConn: rawConn{out: make([]byte, 0, 512)}, born: time.Now(), batch: 1}
	var err error
	conn.net, conn.raw, err = p.options.dial(ctx, to, p.options.config(to, pool.sessions), func(raw net.Conn) net.Conn {
		conn.records = &recordConn{Conn: raw, pool: p.records}
		return conn.records
	})
	if err != nil {
		return nil, err
	}
	if sc, ok := conn.raw.(syscall.Conn); ok {
		conn.fd, _ = sc.SyscallConn() // fails on a closed connection, which the exchange finds
	}
	return conn, nil
}

// take returns an idle connection, or nil when a new one must be made.
func (p *peerPool) take() *peerConn {
	oldest := time.Now().Add(-p.peers.options.IdleTimeout)
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 || p.idle[n-1].used.Before(oldest) {
		return nil
	}
	c := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	p.peers.idle.Add(-1)
	return c
}

// put gives back a connection that can carry another ask.
func (p *peerPool) put(c *peerConn) {
	c.used = time.Now()
	p.mu.Lock()
	n, o := len(p.idle), p.peers.options
	keep := !p.closed && c.used.Sub(c.born) < o.MaxAge && n < o.MaxIdlePerPeer && (n == 0 || p.peers.idle.Load() < int64(o.MaxIdle))
	if keep {
		p.idle = append(p.idle, c)
		p.peers.idle.Add(1)
	}
	p.mu.Unlock()
	if !keep {
		c.net.Close()
	}
}

// closeOld closes the connections that have been idle since before oldest.
func (p *peerPool) closeOld(oldest time.Time) {
	p.mu.Lock()
	n := 0
	for n < len(p.idle) && p.idle[n].used.Before(oldest) {
		n++
	}
	old := p.idle[:n:n]
	p.idle = append([]*peerConn(nil), p.idle[n:]...)
	p.peers.idle.Add(-int64(n))
	p.mu.Unlock()
	for _, c := range old {
		c.net.Close()
	}
}

// close closes the idle connections; those in use close when they are put back.
func (p *peerPool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.peers.idle.Add(-int64(len(idle)))
	p.mu.Unlock()
	for _, c := range idle {
		c.net.Close()
	}
}
