package api

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// A PeerAnswer is what a node answers to a peer's ask.
type PeerAnswer struct {
	placement.Reply
	From   block.Tier                // Serve: the tier the bytes come from
	Source *block.Arrival            // Serve: the bytes, one reference, which Done gives back; nil: the verdict is all
	Done   func(sent int, err error) // called once, when the bytes are sent or cannot be; nil: nobody wants to know
}

// PeerBlocks answers the asks of other nodes.
type PeerBlocks interface {
	// AnswerPeer answers an ask for the block id. The context carries the
	// [block.Call] and ends when the asker goes away. While the asker has to
	// wait, AnswerPeer calls queued about every 100 ms, from its own goroutine:
	// the asker is told, and an error says that it has gone.
	//
	// Errors: those of a [block.Reader], [ErrInvalid].
	AnswerPeer(ctx context.Context, id block.ID, ask placement.Ask, queued func() error) (PeerAnswer, error)
}

// PeerServices are what a node offers to its peers.
type PeerServices struct {
	Blocks PeerBlocks
	Other  http.Handler // every other path; nil: 404. [PeerName] says who asks.
}

// PeerServerOptions are a PeerServer's; the zero value is sensible on loopback.
type PeerServerOptions struct {
	TLS           *tls.Config                                      // must want client certificates; nil: plain text
	Identify      func(tls.ConnectionState) (node string, _ error) // who a verified certificate belongs to, once per connection; nil: nodes name themselves
	Zone          string                                           // asks from other zones are refused
	HeaderTimeout time.Duration                                    // longest a handshake, and the head of an ask, may take; 0: 10 s
	IdleTimeout   time.Duration                                    // how long an unused connection is kept; 0: 15 min
	StallTimeout  time.Duration                                    // longest a peer may take to accept one block; 0: 30 s
	MaxConns      int                                              // connections at once; 0: 8192
	MaxPerAddress int                                              // of which from one address; 0: 1024
	MaxInFlight   int                                              // asks at once, those that wait included; more are refused with block.ErrOverloaded; 0: 1024
	MaxAge        time.Duration                                    // with TLS, how long a connection is used, up to an eighth more, so that a CA taken out ends it; 0: 1 h
	Unsent        int                                              // most bytes that wait in the kernel for their turn on the wire, so that a send counts as done when it is; 0: 128 KiB
	Rate          func() uint32                                    // of this node's uplink, in Mbit/s: a slow one has fewer bytes wait; 0, or nil: not known
	Refused       func(Refusal)                                    // called for each; nil: nobody counts
	Tracer        Tracer                                           // nil: nobody traces
	Logger        *slog.Logger                                     // nil: discard

	now func() time.Time // the clock of certificates; nil: time.Now
}

// A link that takes 20 ms for a block has a whole one wait in 128 KiB: its send is over
// before it begins, and the next one joins those on the wire, until asks and answers
// wait behind several of them. leastUnsent keeps a fast link full.
const (
	leastUnsent = 32 << 10
	unsentFor   = 5 * time.Millisecond // of the uplink
)

// unsent is how many bytes of a send may wait in the kernel now.
func (o PeerServerOptions) unsent() int {
	rate := o.Rate()
	if rate == 0 {
		return o.Unsent
	}
	carries := float64(rate) * 1e6 / 8 * unsentFor.Seconds()
	return int(min(max(carries, leastUnsent), float64(o.Unsent)))
}

// A Refusal says why a peer got nothing.
type Refusal string

// The refusals.
const (
	RefusedHandshake  Refusal = "handshake"  // TLS failed: no certificate of the zone, or an expired one
	RefusedIdentity   Refusal = "identity"   // the certificate is of no node of the zone
	RefusedZone       Refusal = "zone"       // it says that it is of another zone
	RefusedConnection Refusal = "connection" // there are too many connections
	RefusedOverload   Refusal = "overload"   // there are too many asks in progress
)

// Refusals lists all of them.
var Refusals = [...]Refusal{RefusedHandshake, RefusedIdentity, RefusedZone, RefusedConnection, RefusedOverload}

func (o PeerServerOptions) withDefaults() PeerServerOptions {
	if o.HeaderTimeout <= 0 {
		o.HeaderTimeout = 10 * time.Second
	}
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = 15 * time.Minute
	}
	if o.StallTimeout <= 0 {
		o.StallTimeout = 30 * time.Second
	}
	if o.MaxConns <= 0 {
		o.MaxConns = 8192
	}
	if o.MaxPerAddress <= 0 {
		o.MaxPerAddress = 1024
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 1024
	}
	if o.MaxAge <= 0 {
		o.MaxAge = time.Hour
	}
	if o.now == nil {
		o.now = time.Now
	}
	if o.Unsent <= 0 {
		o.Unsent = 128 << 10
	}
	if o.Rate == nil {
		o.Rate = func() uint32 { return 0 }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.TLS != nil {
		o.TLS = o.TLS.Clone()
		o.TLS.NextProtos = []string{"http/1.1"}
		o.TLS.DynamicRecordSizingDisabled = true // small records first are for browsers
	}
	return o
}

// A PeerServer serves the asks of other nodes on a port of their own: blocks by
// a lane as agents have one, everything else by net/http, over HTTP/1.1.
type PeerServer struct {
	services PeerServices
	options  PeerServerOptions
	port
}

var _ portOwner = (*PeerServer)(nil)

// NewPeerServer returns a server of services.
func NewPeerServer(services PeerServices, options PeerServerOptions) *PeerServer {
	o := options.withDefaults()
	s := &PeerServer{services: services, options: o, port: port{done: make(chan struct{})}}
	if s.services.Other == nil {
		s.services.Other = http.NotFoundHandler()
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.serveOther),
		Protocols:         &protocols,
		ReadHeaderTimeout: o.HeaderTimeout,
		IdleTimeout:       o.IdleTimeout,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			c, ok := conn.(*replayConn)
			if !ok || c.tls == nil {
				return ctx
			}
			return context.WithValue(context.WithValue(ctx, peerKey{}, c.node), tenureKey{}, c.tenure)
		},
	}
	return s
}

type peerKey struct{}

// PeerName returns the node whose request ctx belongs to, as its certificate
// names it; "" without TLS.
func PeerName(ctx context.Context) string {
	node, _ := ctx.Value(peerKey{}).(string)
	return node
}

func (s *PeerServer) serveOther(w http.ResponseWriter, r *http.Request) {
	if l, ok := r.Context().Value(tenureKey{}).(tenure); ok {
		now := s.options.now()
		if l.over(now) {
			w.Header().Set("Connection", "close")
		}
		if l.expired(now) {
			http.Error(w, "the certificate of this connection has expired", http.StatusUnauthorized)
			return
		}
	}
	if r.URL.Path == readBlockPath && r.Method == http.MethodGet && isRaw(r.URL.RawQuery) {
		http.Error(w, "peers ask for blocks in HTTP/1.1 over connections they keep, without a body", http.StatusBadRequest)
		return
	}
	limitBody(w, r, s.options.HeaderTimeout)
	s.services.Other.ServeHTTP(w, r)
}

// Serve accepts connections from l until Shutdown, and then returns nil. It
// closes l. A PeerServer serves one listener.
func (s *PeerServer) Serve(l net.Listener) error {
	lane := s.newLane(l.Addr())
	return s.serve(s, l, lane, lane)
}

func (s *PeerServer) newLane(address net.Addr) *lane {
	o := s.options
	h := &peerLane{blocks: s.services.Blocks, zone: o.Zone, maxAge: o.MaxAge, now: o.now, tracer: o.Tracer, gate: &gate{limit: int64(o.MaxInFlight), setting: "of the peer port"}}
	if o.Identify != nil {
		h.identify = func(c *laneConn) (string, error) { return o.Identify(*c.peer()) }
	}
	return newLane(h, laneOptions{
		tls: o.TLS, headerTimeout: o.HeaderTimeout, idleTimeout: o.IdleTimeout, stallTimeout: o.StallTimeout,
		now: o.now, unsent: o.unsent, places: newPlaces(o.MaxConns, o.MaxPerAddress), refused: o.Refused, log: o.Logger,
	}, address)
}

func (s *PeerServer) draining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}

// Shutdown accepts no more connections and waits until every ask in progress is
// answered. When ctx ends before they all are, it cuts them off and returns an
// error.
func (s *PeerServer) Shutdown(ctx context.Context) error { return s.shutdown(ctx) }
