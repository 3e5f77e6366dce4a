package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// ServerOptions are a Server's; the zero value is sensible.
type ServerOptions struct {
	HeaderTimeout time.Duration // longest the head of a request may take to arrive; 0: 10 s
	IdleTimeout   time.Duration // how long an unused connection is kept; 0: 2 min
	StallTimeout  time.Duration // longest a client may take to accept one block; 0: 30 s
	DrainDelay    time.Duration // how long Shutdown keeps accepting after health said NOT_SERVING, for load balancers to see it
	Logger        *slog.Logger  // nil: discard
}

// A Server serves a Handler on one port over HTTP/1.1 and HTTP/2 without TLS.
type Server struct {
	handler *Handler
	options ServerOptions
	http    *http.Server
}

// NewServer returns a server of h.
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
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &Server{handler: h, options: o, http: &http.Server{
		Handler:           h,
		Protocols:         &protocols,
		ReadHeaderTimeout: o.HeaderTimeout,
		IdleTimeout:       o.IdleTimeout,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 1000,
			SendPingTimeout:      o.StallTimeout, // finds peers that are gone
		},
	}}
}

// Serve accepts connections from l until Shutdown, and then returns nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(stallListener{l, s.options.StallTimeout}); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}

// Shutdown drains: health says NOT_SERVING, then, after DrainDelay, no new
// connection is accepted and every request in progress is answered. It returns
// ctx's error when they do not end in time, and cuts them off.
func (s *Server) Shutdown(ctx context.Context) error {
	s.handler.Drain()
	if s.options.DrainDelay > 0 {
		select {
		case <-time.After(s.options.DrainDelay):
		case <-ctx.Done():
		}
	}
	if err := s.http.Shutdown(ctx); err != nil {
		s.http.Close()
		return fmt.Errorf("drain: requests still in progress were cut off: %w", err)
	}
	return nil
}
