package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/zonecache/cached/api"
)

// adminPages are what operators look at with a browser, curl or Prometheus.
type adminPages struct {
	metrics  *prometheus.Registry
	notReady func() []string
	status   http.Handler // the status page and what it loads
	log      *slog.Logger
	// authenticate tells who asks for what concerns tenants or burdens the daemon;
	// nil: that is anybody's, too.
	authenticate api.Authenticator
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
	mux.Handle("/", api.OperatorsOnly(a.authenticate, a.log, operators))
	return mux
}

// readyz answers 503 with the reasons while the daemon can serve only what it
// holds already.
func (a *adminPages) readyz(w http.ResponseWriter, _ *http.Request) {
	reasons := a.notReady()
	w.Header().Set("Content-Type", "application/json")
	if len(reasons) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(struct {
		Ready    bool     `json:"ready"`
		NotReady []string `json:"not_ready"`
	}{len(reasons) == 0, append([]string{}, reasons...)})
}
