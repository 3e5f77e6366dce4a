// Package promtest runs a real Prometheus beside a test: it scrapes daemons, evaluates
// rules, and is asked what it knows.
//
//	p := promtest.Start(t, promtest.Options{Targets: targets, Rules: file, Every: time.Second})
//	p.Await(t, `sum(up) == 3`)
//
// [Scale] makes a day of a set of rules pass in minutes.
package promtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/zonecache/cached/internal/testtool"
)

// A Target is what is scraped.
type Target struct {
	Address string // HOST:PORT
	Labels  map[string]string
}

// Options say what Prometheus does.
type Options struct {
	Targets []Target // all of them in the job "cached"
	Rules   string   // a file of rules
	Scrape  time.Duration
	// Evaluate is how often rules are, where their group does not say.
	Evaluate time.Duration
}

// A Server is a running Prometheus.
type Server struct {
	url string
	ctx func() context.Context // of the test
}

// Start starts a Prometheus that ends with the test, and returns when it answers.
func Start(tb testing.TB, o Options) *Server {
	tb.Helper()
	program := testtool.Debian(tb, "prometheus")
	dir := tb.TempDir()
	var static []map[string]any
	for _, t := range o.Targets {
		static = append(static, map[string]any{"targets": []string{t.Address}, "labels": t.Labels})
	}
	rules, err := filepath.Abs(o.Rules)
	if err != nil {
		tb.Fatal(err)
	}
	every := func(d time.Duration) string { return fmt.Sprintf("%dms", d.Milliseconds()) }
	config, err := yaml.Marshal(map[string]any{
		"global": map[string]any{
			"scrape_interval": every(o.Scrape), "scrape_timeout": every(o.Scrape), "evaluation_interval": every(o.Evaluate),
		},
		"rule_files":     []string{rules},
		"scrape_configs": []any{map[string]any{"job_name": "cached", "static_configs": static}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		tb.Fatal(err)
	}
	s := &Server{url: fmt.Sprintf("http://127.0.0.1:%d", testtool.FreePort(tb)), ctx: tb.Context}
	testtool.Start(tb, exec.Command(program, "--config.file", file, "--storage.tsdb.path", filepath.Join(dir, "data"),
		"--web.listen-address", strings.TrimPrefix(s.url, "http://")), testtool.Answering(s.url+"/-/ready"))
	return s
}

// Get asks the API below /api/v1 and decodes the data of its answer.
func (s *Server) Get(path string, query url.Values, data any) error {
	transport := &http.Transport{DisableKeepAlives: true} // tests look for leaked goroutines
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(s.ctx(), http.MethodGet, s.url+"/api/v1"+path+"?"+query.Encode(), http.NoBody)
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.Unmarshal(text, &answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s", answer.Error)
	}
	return nil
}

// A Sample is one series of an answer; Value is its time and its value.
type Sample struct {
	Metric map[string]string
	Value  [2]any
}

// Query returns the samples of an instant query.
func (s *Server) Query(expr string) ([]Sample, error) {
	var data struct{ Result []Sample }
	err := s.Get("/query", url.Values{"query": {expr}}, &data)
	return data.Result, err
}

// Await waits until a query has a result.
func (s *Server) Await(tb testing.TB, expr string) {
	tb.Helper()
	s.Until(tb, expr, func(result []Sample) bool { return len(result) > 0 })
}

// Until waits until the result of a query is as wanted.
func (s *Server) Until(tb testing.TB, expr string, wanted func([]Sample) bool) {
	tb.Helper()
	for late := time.After(90 * time.Second); ; {
		result, err := s.Query(expr) // an error while it starts
		if err == nil && wanted(result) {
			return
		}
		select {
		case <-late:
			tb.Fatalf("never as wanted: %s: %v (%v)", expr, result, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// An Alert is what a rule has found.
type Alert struct {
	Labels, Annotations map[string]string
	State               string // pending, firing
}

// Alerts returns those that fire.
func (s *Server) Alerts() ([]Alert, error) {
	var data struct{ Alerts []Alert }
	if err := s.Get("/alerts", nil, &data); err != nil {
		return nil, err
	}
	var firing []Alert
	for _, a := range data.Alerts {
		if a.State == "firing" {
			firing = append(firing, a)
		}
	}
	return firing, nil
}
