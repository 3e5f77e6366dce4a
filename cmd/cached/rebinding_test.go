package main

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// On loopback a daemon answers to no name but localhost and its address.
func TestADaemonAnswersToItsOwnNameOnly(t *testing.T) {
	s := httptest.NewServer(byItsOwnName(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	defer s.Close()
	for host, want := range map[string]int{
		"": 200, "localhost": 200, "LOCALHOST:7070": 200, "127.0.0.1": 200, "127.0.0.1:21070": 200, "[::1]": 200, "[::1]:80": 200,
		"evil.example": 403, "evil.example:7070": 403, "localhost.evil.example": 403, "127.0.0.1.evil.example:80": 403, "[::1].evil": 403,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Fatalf("%s: %v", host, err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("asked as %q: status %d, want %d", host, resp.StatusCode, want)
		}
	}
}

// Nor do its ports, but for what is for all hosts.
func TestThePortsAnswerToTheirOwnNameOnly(t *testing.T) {
	d := startTestDaemon(t, "--origin", "file://"+t.TempDir())
	agents := d.cmd.Args[slices.Index(d.cmd.Args, "--listen")+1]
	for _, tt := range []struct {
		method, address, path, host string
		want                        int
	}{
		{http.MethodPost, agents, "/cached.v1.ImageService/ListImages", "localhost", 200},
		{http.MethodPost, agents, "/cached.v1.ImageService/ListImages", "evil.example", 403},
		{http.MethodGet, d.admin, "/", "localhost:7071", 200},
		{http.MethodGet, d.admin, "/", "evil.example", 403},
		{http.MethodGet, d.admin, "/debug/pprof/cmdline", "evil.example", 403},
		{http.MethodGet, d.admin, "/metrics", "node7.example:7071", 200},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://"+tt.address+tt.path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Host = tt.host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tt.want {
			t.Errorf("%s of %s: status %d, want %d", tt.path, tt.host, resp.StatusCode, tt.want)
		}
	}
}
