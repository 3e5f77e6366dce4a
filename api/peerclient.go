package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/sparse"
)

// PeerClientOptions are a Peers'; the zero value is sensible on loopback.
type PeerClientOptions struct {
	Node           string                                // this node's name, which a peer without TLS takes its word for
	Zone           string                                // stated in every ask
	TLS            func(to placement.Member) *tls.Config // for each new connection; nil, or a nil result: plain text
	Silence        time.Duration                         // longest a peer may let nothing be heard; 0: 1 s
	SilencePerHop  time.Duration                         // more for each node that passes the bytes on; 0: 250 ms
	DialTimeout    time.Duration                         // longest until a connection stands, handshake included; 0: 2 s
	Timeout        time.Duration                         // longest an ask may take when its context does not say; 0: one minute
	MaxIdlePerPeer int                                   // connections to one peer kept for later; 0: 16
	MaxIdle        int                                   // of all peers together, except that each may keep one; 0: 1024
	IdleTimeout    time.Duration                         // how long they are kept; 0: 5 min
	MaxAge         time.Duration                         // how long a connection is used, so that a replaced certificate goes out of use; 0: 1 h
	Odd            func(Oddity)                          // called for each answer that is odd; nil: nobody counts
	Tracer         Tracer                                // nil: nobody traces
	Logger         *slog.Logger                          // nil: discard
}

func (o PeerClientOptions) withDefaults() PeerClientOptions {
	for d, value := range map[*time.Duration]time.Duration{
		&o.Silence: time.Second, &o.SilencePerHop: 250 * time.Millisecond, &o.DialTimeout: 2 * time.Second,
		&o.Timeout: time.Minute, &o.IdleTimeout: 5 * time.Minute, &o.MaxAge: time.Hour,
	} {
		if *d <= 0 {
			*d = value
		}
	}
	if o.MaxIdlePerPeer <= 0 {
		o.MaxIdlePerPeer = 16
	}
	if o.MaxIdle <= 0 {
		o.MaxIdle = 1024
	}
	if o.Odd == nil {
		o.Odd = func(Oddity) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Peers carries asks to the other nodes of a zone. It is safe for concurrent
// use, opens a connection for each ask in progress to a node, and keeps the
// latest for later ones, since a burst must not wait for handshakes.
//
// It trusts nobody: what a peer sends is bounded in size and in time, and
// whether the bytes are the block is the caller's to find out.
type Peers struct {
	options PeerClientOptions
	records *sync.Pool   // for recordConns
	idle    atomic.Int64 // connections kept for later

	complain sparse.Gate

	mu     sync.Mutex
	closed bool
	pools  map[string]*peerPool // by address
	swept  time.Time            // when idle connections were last looked through
}

// NewPeers returns a Peers without connections.
func NewPeers(options PeerClientOptions) *Peers {
	return &Peers{options: options.withDefaults(), records: newRecordPool(), pools: map[string]*peerPool{}, swept: time.Now()}
}

// Fetch asks the node to for the block id. When the verdict is placement.Serve,
// the bytes that into does not have yet are put into it, and Fetch returns once
// the last has come; it neither verifies nor finishes the arrival. An Offer
// needs no arrival: into may then be nil.
//
// Each time the node says that the asker must wait, the arrival's Waiting is
// called. A node that lets nothing be heard for Silence, or SilencePerHop more
// for each node between it and a whole block, is an error that matches
// placement.ErrStalled.
//
// Errors: block.ErrUnavailable when the node cannot be reached, breaks off,
// stalls or says what makes no sense; block.ErrNotFound, block.ErrCorrupt,
// block.ErrOverloaded when the node says so of the block or of itself; ctx's.
func (p *Peers) Fetch(ctx context.Context, to placement.Member, id block.ID, ask placement.Ask, into *block.Arrival) (placement.Reply, error) {
	if into != nil {
		ask.Offset = into.Have()
	}
	if ask.Reader == "" {
		ask.Reader = p.options.Node
	}
	f := fetch{
		peers: p, to: to, into: into,
		request: peerRequest{id: id, ask: ask, call: block.CallFrom(ctx), zone: p.options.Zone},
	}
	deadline, stated := ctx.Deadline()
	if f.deadline = deadline; !stated {
		f.deadline = time.Now().Add(p.options.Timeout)
	}
	f.stated = stated
	end := func(error) {}
	if t := p.options.Tracer; t != nil && t.Parent(ctx) != "" {
		ctx, end = t.Begin(ctx, spanAsk, "", to.Name)
		f.parent = t.Parent(ctx)
	}
	reply, err := f.run(ctx)
	if err != nil {
		f.notice(err)
		err = f.explain(ctx, err)
		end(err)
		return placement.Reply{}, err
	}
	end(nil)
	return reply, nil
}

// run asks on an idle connection, or on a new one once the idle ones turn out
// to be closed.
func (f *fetch) run(ctx context.Context) (placement.Reply, error) {
	pool, err := f.peers.pool(f.to)
	if err != nil {
		return placement.Reply{}, err
	}
	for {
		if err := ctx.Err(); err != nil {
			return placement.Reply{}, err
		}
		conn := pool.take()
		idle := conn != nil
		if !idle {
			if conn, err = f.peers.dial(ctx, f.to, pool); err != nil {
				return placement.Reply{}, err
			}
		}
		reply, err := f.on(ctx, conn, pool)
		if idle && errors.Is(err, errNoResponse) && !errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
			continue // every turn uses up one idle connection
		}
		if !idle {
			err = unanswered(err)
		}
		return reply, err
	}
}

// explain makes the error a caller gets.
func (f *fetch) explain(ctx context.Context, err error) error {
	var remote *remoteError
	switch cause := ctx.Err(); {
	case cause != nil:
		return fmt.Errorf("%s: read %s: %w", f.name(), f.request.id.Short(), cause)
	case f.stated && !time.Now().Before(f.deadline):
		return fmt.Errorf("%s: read %s: %w", f.name(), f.request.id.Short(), context.DeadlineExceeded)
	case errors.As(err, &remote):
		return err
	}
	return fmt.Errorf("%s: read %s: %w: %w", f.name(), f.request.id.Short(), block.ErrUnavailable, err)
}

// name is how errors call the node.
func (f *fetch) name() string { return fmt.Sprintf("peer %s (%s)", f.to.Name, f.to.Address) }

// Forget closes the idle connections to an address, of a node that has left or
// died.
func (p *Peers) Forget(address string) {
	p.mu.Lock()
	pool := p.pools[address]
	delete(p.pools, address)
	p.mu.Unlock()
	if pool != nil {
		pool.close()
	}
}

// Close closes the idle connections. Asks in progress end normally, and new
// ones are refused.
func (p *Peers) Close() error {
	p.mu.Lock()
	pools := p.pools
	p.pools, p.closed = nil, true
	p.mu.Unlock()
	for _, pool := range pools {
		pool.close()
	}
	return nil
}
