package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// ServerOptions are a Server's; the zero value is sensible.
type ServerOptions struct {
	TLS           *tls.Config   // nil: plain text
	HeaderTimeout time.Duration // longest the head of a request may take to arrive; 0: 10 s
	IdleTimeout   time.Duration // how long an unused connection is kept; 0: 2 min
	StallTimeout  time.Duration // longest a client may take to accept one block; 0: 30 s
	DrainDelay    time.Duration // how long Shutdown keeps accepting after health said NOT_SERVING, for load balancers to see it
	Logger        *slog.Logger  // nil: discard
}

func (o ServerOptions) lane() laneOptions {
	return laneOptions{
		tls: o.TLS, headerTimeout: o.HeaderTimeout, idleTimeout: o.IdleTimeout, stallTimeout: o.StallTimeout, log: o.Logger,
	}
}

// A Server serves a Handler on one port over HTTP/1.1 and HTTP/2.
type Server struct {
	handler *Handler
	options ServerOptions
	http    *http.Server
	done    chan struct{} // closed when Shutdown is through

	mu       sync.Mutex
	stopped  bool
	lane     *lane
	listener net.Listener
}

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
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h.limits = o
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &Server{handler: h, options: o, done: make(chan struct{}), http: &http.Server{
		Handler:           h,
		Protocols:         &protocols,
		ReadHeaderTimeout: o.HeaderTimeout,
		IdleTimeout:       o.IdleTimeout,
		ConnContext:       func(ctx context.Context, conn net.Conn) context.Context { return withTLS(ctx, connTLS(conn)) },
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 1000,
			SendPingTimeout:      o.StallTimeout, // finds peers that are gone
		},
	}}
}

// Serve accepts connections from l until Shutdown, and then returns nil. It
// closes l. A Server serves one listener.
func (s *Server) Serve(l net.Listener) error {
	lane := newLane(s.handler.raw, s.options.lane(), l.Addr())
	if !s.start(lane, l) {
		l.Close()
		return nil
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { lane.sweep(stop) })
	wg.Go(func() { _ = s.http.Serve(frameListener{lane}) }) // ends when the lane is closed
	err := lane.accept(l)
	if !s.handler.Draining() {
		// The listener broke. What is in progress must not outlive Serve.
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		err = errors.Join(fmt.Errorf("serve %s: %w", l.Addr(), err), s.Shutdown(ended))
	} else {
		err = nil
	}
	<-s.done
	close(stop)
	wg.Wait()
	return err
}

// start notes what Shutdown must end, unless it was called already.
func (s *Server) start(lane *lane, l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	if s.lane != nil {
		panic("api: a Server serves one listener")
	}
	s.lane, s.listener = lane, l
	return true
}

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
	s.mu.Lock()
	first := !s.stopped
	s.stopped = true
	lane, l := s.lane, s.listener
	s.mu.Unlock()
	if !first || lane == nil {
		return nil
	}
	defer close(s.done)
	l.Close()
	// The lane first: what it hands over while draining, net/http must accept.
	err := lane.drain(ctx)
	if httpErr := s.http.Shutdown(ctx); httpErr != nil {
		s.http.Close()
		err = errors.Join(err, fmt.Errorf("drain: requests in progress were cut off: %w", httpErr))
	}
	return err
}
