package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zonecache/cached/internal/netlab"
)

// A host beyond the daemon's own gets metrics and health from the admin port, and the
// status page and profiles only where the daemon was told so.
func TestOtherHostsGetMetricsOnly(t *testing.T) {
	lab := netlab.New(t)
	own, other := lab.Host("own", netlab.Link{}), lab.Host("other", netlab.Link{})
	for name, flags := range map[string][]string{"told nothing": nil, "told to": {"--insecure-admin-pages"}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			admin := "http://" + own.Address(7071)
			args := append([]string{"serve", "--data-dir", dir, "--origin", "file://" + dir, "--l2-size", "0", "--admin", own.Address(7071), "--insecure-admin"}, flags...)
			daemon := own.Start(t, exec.Command("cached", args...), func(ctx context.Context) bool {
				status, _, err := askFrom(ctx, own, admin+"/readyz")
				return err == nil && status == http.StatusOK
			})
			for _, path := range []string{"/metrics", "/healthz", "/readyz", "/", "/status/live", "/status/page.js", "/debug/pprof/", "/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline"} {
				for _, from := range []*netlab.Host{own, other} {
					open := from == own || flags != nil || slices.Contains([]string{"/metrics", "/healthz", "/readyz"}, path)
					status, body, err := askFrom(t.Context(), from, admin+path)
					switch {
					case err != nil:
						t.Error(err)
					case open && status != http.StatusOK:
						t.Errorf("%s asked by %s: %d %s", path, from.Name(), status, body)
					case !open && (status != http.StatusForbidden || strings.Count(body, "\n") != 1 || !strings.Contains(body, "you ask from "+other.IP()) || !strings.Contains(body, "--insecure-admin-pages")):
						t.Errorf("%s asked by %s: %d %s", path, from.Name(), status, body)
					}
				}
			}
			daemon.Stop()
			if warned := strings.Contains(daemon.Output(), "profiles and the names of images (insecure-admin-pages)"); warned != (flags != nil) {
				t.Errorf("it said\n%s", daemon.Output())
			}
		})
	}
}

func askFrom(ctx context.Context, from *netlab.Host, url string) (status int, body string, err error) {
	c := &http.Client{Transport: &http.Transport{DialContext: from.Dial, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// What is of this host: loopback, and the address that was asked at.
func TestWhoIsOfThisHost(t *testing.T) {
	for _, tt := range []struct {
		from, at string
		own      bool
	}{
		{"127.0.0.1:4000", "127.0.0.1:7071", true},
		{"127.9.9.9:4000", "127.0.0.1:7071", true},
		{"[::1]:4000", "[::1]:7071", true},
		{"[::ffff:127.0.0.1]:4000", "[::ffff:127.0.0.1]:7071", true},
		{"10.0.0.1:4000", "10.0.0.1:7071", true},
		{"[::ffff:10.0.0.1]:4000", "10.0.0.1:7071", true},
		{"[fd00::1]:4000", "[fd00::1]:7071", true},
		{"10.0.0.2:4000", "10.0.0.1:7071", false},
		{"10.0.0.2:4000", "127.0.0.1:7071", false},
		{"[::ffff:10.0.0.2]:4000", "[::ffff:10.0.0.1]:7071", false},
		{"[fd00::2]:4000", "[fd00::1]:7071", false},
		{"0.0.0.0:4000", "10.0.0.1:7071", false},
		{"", "10.0.0.1:7071", false},
		{"@", "10.0.0.1:7071", false},
	} {
		at, err := net.ResolveTCPAddr("tcp", tt.at)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, at), http.MethodGet, "/", http.NoBody)
		r.RemoteAddr = tt.from
		if got := fromThisHost(r); got != tt.own {
			t.Errorf("from %q at %q: %v, want %v", tt.from, tt.at, got, tt.own)
		}
	}
	if r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody); fromThisHost(r) {
		t.Error(fmt.Sprint(r.RemoteAddr, " is of this host, and nobody knows where it asked"))
	}
}

// A token does not open to other hosts what it would send in plain text.
func TestATokenIsNoWayRoundTheHost(t *testing.T) {
	g := startGuarded(t, plainText)
	a := &adminPages{authenticate: g.door.authenticator(), log: g.door.log, status: http.NotFoundHandler()}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/debug/pprof/cmdline", http.NoBody)
	r.RemoteAddr = "192.0.2.7:4000"
	r.Header.Set("Authorization", "Bearer ops")
	for _, everywhere := range []bool{false, true} {
		a.everywhere, a.metrics = everywhere, prometheus.NewRegistry()
		w := httptest.NewRecorder()
		a.handler().ServeHTTP(w, r)
		if ok := w.Code == http.StatusOK; ok != everywhere {
			t.Errorf("with everywhere %v: %d %s", everywhere, w.Code, w.Body)
		}
	}
}
