package api

import (
	"context"
	"time"

	"github.com/zonecache/cached/placement"
)

// Warm makes a connection to each of the nodes to which none is kept, one after
// the other, so that the first ask of a burst does not wait for handshakes. It
// stops when ctx ends. A node that cannot be reached is left to whoever asks it.
func (p *Peers) Warm(ctx context.Context, nodes []placement.Member) {
	for _, to := range nodes {
		if ctx.Err() != nil {
			return
		}
		pool, err := p.pool(to)
		if err != nil {
			return // this node is shutting down
		}
		if pool.kept() > 0 {
			continue
		}
		if conn, err := p.dial(ctx, to, pool); err == nil {
			pool.put(conn)
		}
	}
}

// kept returns how many idle connections there are that can still be used.
func (p *peerPool) kept() int {
	oldest := time.Now().Add(-p.peers.options.IdleTimeout)
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 && !p.idle[n-1].used.Before(oldest) {
		return n
	}
	return 0
}
