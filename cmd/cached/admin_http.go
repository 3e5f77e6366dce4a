package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/zonecache/cached/api"
)

// adminPages are what operators look at with a browser, curl or Prometheus.
type adminPages struct {
	metrics  *prometheus.Registry
	notReady func(context.Context) []string
	status   http.Handler // the status page and what it loads
	log      *slog.Logger
	// authenticate tells who asks for what concerns tenants or burdens the daemon;
	// nil: that is anybody's, too.
	authenticate api.Authenticator
	// everywhere has other hosts see that, too, and not only metrics and health.
	everywhere bool
}

func (a *adminPages) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.metrics, promhttp.HandlerOpts{Registry: a.metrics, EnableOpenMetrics: true}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n")) // the caller has gone
	})
	mux.HandleFunc("GET /readyz", a.readyz)
	operators := http.NewServeMux()
	operators.HandleFunc("GET /debug/pprof/", pprof.Index)
	operators.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	operators.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	operators.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	operators.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	operators.Handle("/", a.status)
	pages := byItsOwnName(api.OperatorsOnly(a.authenticate, a.log, operators))
	if !a.everywhere {
		pages = onThisHost(pages)
	}
	mux.Handle("/", pages)
	return mux
}

// onThisHost keeps what tells more than metrics from other hosts.
func onThisHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fromThisHost(r) {
			next.ServeHTTP(w, r)
			return
		}
		http.Error(w, fmt.Sprintf("%s is for programs of this host, and you ask from %s: ask there, or start the daemon with --insecure-admin-pages on a network you trust (/metrics, /healthz and /readyz are for all)", r.URL.Path, r.RemoteAddr), http.StatusForbidden)
	})
}

// fromThisHost reports whether a program of this host asks: over loopback, or from the
// very address that it asks at. Answers to that one never leave the host, so that no
// other host can claim it; but a forwarder on this host that asks in its own name asks
// for whoever reached it, and cannot be told from a program.
func fromThisHost(r *http.Request) bool {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	from := remote.Addr().Unmap()
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return from.IsLoopback() || ok && local.AddrPort().Addr().Unmap() == from
}

// readyz answers 503 with the reasons while the daemon can serve only what it
// holds already.
func (a *adminPages) readyz(w http.ResponseWriter, r *http.Request) {
	reasons := a.notReady(r.Context())
	w.Header().Set("Content-Type", "application/json")
	if len(reasons) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(struct {
		Ready    bool     `json:"ready"`
		NotReady []string `json:"not_ready"`
	}{len(reasons) == 0, append([]string{}, reasons...)})
}
