package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/block"
)

// The admin port is reached by agents of all tenants on the host: what it says of
// images, and what costs the daemon time, is for operators.
func TestAdminPortWithTenants(t *testing.T) {
	g := startGuarded(t, plainText)
	publishFile(t, g.origin, "shop-app", 300_000)
	_, ids := g.blocksOf(t, "shop", "shop-app")
	b, err := g.client(t, api.ClientOptions{Token: "shop"}).ReadBlock(block.WithCall(t.Context(), block.Call{Image: "shop-app"}), ids[0])
	if err != nil {
		t.Fatal(err)
	}
	b.Release()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, c := range []struct {
		path, token string
		status      int
		says        string
	}{
		{"/", "", http.StatusUnauthorized, "send an operator's token: curl -H"},
		{"/", "forged", http.StatusUnauthorized, "not one of the tenants file"},
		{"/", "bank", http.StatusForbidden, "tenant bank is no operator"},
		{"/", "ops", http.StatusOK, "shop-app"},
		{"/status/live", "", http.StatusUnauthorized, "send an operator's token: curl -H"},
		{"/status/live", "bank", http.StatusForbidden, "tenant bank is no operator"},
		{"/status/live", "ops", http.StatusOK, "shop-app"},
		{"/status/page.js", "", http.StatusUnauthorized, ""},
		{"/status/page.js", "ops", http.StatusOK, "use strict"},
		{"/debug/pprof/", "", http.StatusUnauthorized, "neither a bearer token"},
		{"/debug/pprof/profile?seconds=1", "bank", http.StatusForbidden, "operator: true in the tenants file"},
		{"/debug/pprof/trace?seconds=1", "", http.StatusUnauthorized, ""},
		{"/debug/pprof/goroutine?debug=1", "ops", http.StatusOK, "goroutine profile"},
		{"/metrics", "", http.StatusOK, "cached_block_reads_total"},
		{"/healthz", "", http.StatusOK, "ok"},
		{"/readyz", "", http.StatusServiceUnavailable, "the origin was not asked yet"}, // in this test nobody does
		{"/nothing", "", http.StatusUnauthorized, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+g.admin+c.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if c.token != "" {
			req.Header.Set("Authorization", "Bearer "+c.token)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || !strings.Contains(string(body), c.says) {
			t.Errorf("%s with token %q: %s, want %d and %q: %.200s, %v", c.path, c.token, resp.Status, c.status, c.says, body, err)
		}
		if c.token != "ops" && strings.Contains(string(body), "shop") {
			t.Errorf("%s with token %q names another tenant's image: %.500s", c.path, c.token, body)
		}
		if want := resp.StatusCode == http.StatusUnauthorized; (resp.Header.Get("Www-Authenticate") == "Bearer") != want {
			t.Errorf("%s: Www-Authenticate %q with status %d", c.path, resp.Header.Get("Www-Authenticate"), resp.StatusCode)
		}
	}
}
