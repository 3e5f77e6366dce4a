package api

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// ServerOptions are a Server's; the zero value is sensible.
type ServerOptions struct {
	TLS           *tls.Config   // of TCP; nil: plain text. A Unix socket is plain text: who may open its file reads
	HeaderTimeout time.Duration // longest the head of a request may take to arrive; 0: 10 s
	IdleTimeout   time.Duration // how long an unused connection is kept; 0: 2 min
	StallTimeout  time.Duration // longest a client may take to accept one block; 0: 30 s
	MaxAge        time.Duration // how long a connection with a client certificate is used, up to an eighth more, so that a CA taken out ends it; 0: 1 h
	DrainDelay    time.Duration // how long Shutdown keeps accepting after health said NOT_SERVING, for load balancers to see it
	Logger        *slog.Logger  // nil: discard
	// Guard, if set, stands before all but raw reads, which need a block's id.
	Guard func(http.Handler) http.Handler

	now func() time.Time // the clock of MaxAge; nil: time.Now
}

func (o ServerOptions) lane() laneOptions {
	return laneOptions{
		tls: o.TLS, headerTimeout: o.HeaderTimeout, idleTimeout: o.IdleTimeout, stallTimeout: o.StallTimeout,
		now: o.now, log: o.Logger,
	}
}

// A Server serves a Handler over HTTP/1.1 and HTTP/2, on a port, a Unix socket, or both.
type Server struct {
	handler *Handler
	options ServerOptions
	port
}

var _ portOwner = (*Server)(nil)

// NewServer returns a server of h, which no other Server serves.
func NewServer(h *Handler, options ServerOptions) *Server {
	o := options
	if o.HeaderTimeout <= 0 {
		o.HeaderTimeout = 10 * time.Second
	}
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = 2 * idleTimeout
	}
	if o.StallTimeout <= 0 {
		o.StallTimeout = 30 * time.Second
	}
	if o.MaxAge <= 0 {
		o.MaxAge = time.Hour
	}
	if o.now == nil {
		o.now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h.limits = o
	guarded := http.Handler(h)
	if o.Guard != nil {
		guarded = o.Guard(h)
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &Server{handler: h, options: o, port: port{done: make(chan struct{}), http: &http.Server{
		Handler:           guarded,
		Protocols:         &protocols,
		ReadHeaderTimeout: o.HeaderTimeout,
		IdleTimeout:       o.IdleTimeout,
		ConnContext:       agentContext,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 1000,
			SendPingTimeout:      o.StallTimeout, // finds peers that are gone
		},
	}}}
}

// Serve accepts connections from l until Shutdown, and then returns nil. It
// closes l. It may be called for several listeners; when one breaks, all end.
func (s *Server) Serve(l net.Listener) error {
	options := s.options.lane()
	if l.Addr().Network() == "unix" {
		options.tls = nil
	}
	lane := newLane(s.handler.raw, options, l.Addr())
	return s.serve(s, l, lane, frameListener{lane})
}

func (s *Server) draining() bool { return s.handler.Draining() }

// Shutdown drains: health says NOT_SERVING, then, after DrainDelay, no new
// connection is accepted and every request in progress is answered. When ctx
// ends before they all are, it cuts them off and returns an error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.handler.Drain()
	if s.options.DrainDelay > 0 {
		select {
		case <-time.After(s.options.DrainDelay):
		case <-ctx.Done():
		}
	}
	return s.shutdown(ctx)
}
