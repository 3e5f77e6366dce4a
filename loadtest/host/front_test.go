package host

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecache/cached/internal/netlab"
)

// A front delays every answer of servers on one host by the same time, as the first
// byte of a store far away is late. The zero delay costs the way through it still.
type front struct {
	host  *netlab.Host
	delay atomic.Int64
}

// set makes the first byte of every later answer come so much later.
func (f *front) set(delay time.Duration) { f.delay.Store(int64(delay)) }

// before listens at the port on the host and passes requests on to target, "IP:port".
func (f *front) before(t *testing.T, port int, target string) {
	t.Helper()
	listener, err := f.host.Listen(t.Context(), "tcp", f.host.Address(port))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: f.host.Dial, MaxIdleConnsPerHost: 64, DisableCompression: true}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: target})
			r.Out.Host = r.In.Host // it is signed
		},
		Transport: transport,
		ErrorLog:  log.New(io.Discard, "", 0),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			if !errors.Is(err, context.Canceled) {
				w.WriteHeader(http.StatusBadGateway)
			}
		},
	}
	server := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if delay := time.Duration(f.delay.Load()); delay > 0 {
			timer := time.NewTimer(delay)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-r.Context().Done():
				return
			}
		}
		proxy.ServeHTTP(w, r)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // until Close
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
		transport.CloseIdleConnections()
	})
}
