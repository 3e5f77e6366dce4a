package zone

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// A Gate stands before the store and counts the reads of blocks that are in progress
// there, from their first byte to the last of their answer.
type Gate struct {
	mu     sync.Mutex
	inside map[string]int // by the host that reads
	all    int
	most   int            // at once, of all hosts
	mostOf map[string]int // of one
}

const gatePort = 9080

// NewGate returns a gate for [Options.Front].
func NewGate() *Gate { return &Gate{inside: map[string]int{}, mostOf: map[string]int{}} }

// Front is an [Options.Front]; the gate ends with the test.
func (g *Gate) Front(tb testing.TB) func(*Store) string {
	return func(s *Store) string {
		tb.Helper()
		listener, err := s.Host.Listen(tb.Context(), "tcp", s.Host.Address(gatePort))
		if err != nil {
			tb.Fatal(err)
		}
		target := s.Host.Address(storePort)
		transport := &http.Transport{DialContext: s.Host.Dial, MaxIdleConnsPerHost: 256, DisableCompression: true}
		quiet := slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		proxy := &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(&url.URL{Scheme: "http", Host: target})
				r.Out.Host = r.In.Host // it is signed
			},
			Transport: transport,
			ErrorLog:  quiet,
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
				if !errors.Is(err, context.Canceled) {
					w.WriteHeader(http.StatusBadGateway)
				}
			},
		}
		server := &http.Server{ErrorLog: quiet, ConnContext: smallBuffer, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer g.enter(r)()
			proxy.ServeHTTP(w, r)
		})}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = server.Serve(listener) // until Close
		}()
		tb.Cleanup(func() {
			_ = server.Close()
			<-done
			transport.CloseIdleConnections()
		})
		return strings.Replace(s.URL, target, s.Host.Address(gatePort), 1)
	}
}

// smallBuffer keeps the kernel from taking a block whole: an answer is over when nearly
// all of it is on its way.
func smallBuffer(ctx context.Context, c net.Conn) context.Context {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(16 << 10) // or it is counted as shorter than it is
	}
	return ctx
}

// enter counts a request that reads a block, and returns what is to be called at its end.
func (g *Gate) enter(r *http.Request) func() {
	if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blocks/") {
		return func() {}
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr) // the server has made it
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all++
	g.inside[host]++
	g.most, g.mostOf[host] = max(g.most, g.all), max(g.mostOf[host], g.inside[host])
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.all--
		g.inside[host]--
	}
}

// Forget lets [Gate.Most] begin anew.
func (g *Gate) Forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.most = 0
	clear(g.mostOf)
}

// Most returns how many reads were in progress at once, and how many of one host.
func (g *Gate) Most() (all, ofOne int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, n := range g.mostOf {
		ofOne = max(ofOne, n)
	}
	return g.most, ofOne
}
