package api

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/api/cachedv1/cachedv1connect"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// A client certificate counts in the lane, in HTTP/1.1 and in HTTP/2.
func TestCertificatesSayWhoReads(t *testing.T) {
	b := blocktest.Block(1, 300_000)
	defer b.Release()
	ca := newTestCA(t)
	config := ca.config(t, "server")
	config.ClientAuth, config.NextProtos = tls.VerifyClientCertIfGiven, []string{"h2", "http/1.1"}
	base := "https://" + serveWith(t, NewHandler(Services{Blocks: &tenantsReader{b: b, to: "shop"}, Images: tenantsImages{}}, Options{Authenticate: byToken}), ServerOptions{TLS: config})

	for _, tt := range []struct {
		name, token string
		want        error
	}{
		{"shop", "", nil}, {"bank", "", block.ErrDenied}, {"bank", "shop", nil}, {"", "shop", nil}, {"", "", block.ErrUnauthenticated},
	} {
		client := &tls.Config{RootCAs: ca.pool, ServerName: "server"}
		if tt.name != "" {
			client.Certificates = ca.config(t, tt.name).Certificates
		}
		c := connectTo(t, base, ClientOptions{TLS: client, Token: tt.token})
		for i := range 3 { // on one connection, and once on one that is resumed
			if i == 2 {
				c.conns.close()
			}
			got, err := c.ReadBlock(t.Context(), b.ID())
			if !errors.Is(err, tt.want) || tt.want == nil && err != nil {
				t.Errorf("%+v: block: %v", tt, err)
			}
			got.Release()
		}
		if _, err := c.OpenImage(t.Context(), &cachedv1.OpenImageRequest{Image: "shop"}); !errors.Is(err, tt.want) || tt.want == nil && err != nil {
			t.Errorf("%+v: image: %v", tt, err)
		}
		var p http.Protocols
		p.SetHTTP2(true)
		h2 := &http.Client{Transport: &http.Transport{Protocols: &p, TLSClientConfig: client}}
		t.Cleanup(h2.CloseIdleConnections)
		if tt.token != "" {
			continue
		}
		for _, opts := range [][]connect.ClientOption{nil, {connect.WithGRPC()}} {
			resp, err := cachedv1connect.NewBlockServiceClient(h2, base, opts...).ReadBlock(t.Context(), &cachedv1.ReadBlockRequest{Id: b.ID().String()})
			if tt.want == nil && (err != nil || !bytes.Equal(resp.GetContent(), b.Bytes())) || tt.want != nil && connect.CodeOf(err) != kindOf(tt.want).code {
				t.Errorf("%+v: over HTTP/2: %v", tt, err)
			}
		}
	}
}

// What goes wrong between http and https is said in words.
func TestClientExplainsTLS(t *testing.T) {
	ca := newTestCA(t)
	secure := serveWith(t, NewHandler(Services{Images: tenantsImages{}}, Options{}), ServerOptions{TLS: ca.config(t, "server")})
	plain := strings.TrimPrefix(serve(t, Services{Images: tenantsImages{}}, Options{}), "http://")
	good := ca.config(t, "client")
	good.ServerName = "server"
	for name, tt := range map[string]struct {
		url   string
		tls   *tls.Config
		words string
	}{
		"plain text to TLS":   {"http://" + secure, nil, "https://"},
		"TLS to plain text":   {"https://" + plain, good, "plain http://"},
		"an unknown CA":       {"https://" + secure, &tls.Config{RootCAs: newTestCA(t).pool, ServerName: "server"}, "certificate signed by unknown authority"},
		"another name":        {"https://" + secure, &tls.Config{RootCAs: ca.pool}, "127.0.0.1"},
		"no certificate":      {"https://" + secure, &tls.Config{RootCAs: ca.pool, ServerName: "server"}, "its log says why"},
		"a wrong one":         {"https://" + secure, &tls.Config{RootCAs: ca.pool, ServerName: "server", Certificates: newTestCA(t).config(t, "client").Certificates}, "its log says why"},
		"the system's CAs":    {"https://" + secure, nil, "certificate"},
		"all as it should be": {"https://" + secure, good, ""},
	} {
		c := connectTo(t, tt.url, ClientOptions{TLS: tt.tls})
		_, blockErr := c.ReadBlock(t.Context(), block.Sum(nil))
		_, listErr := c.ListImages(t.Context())
		for _, err := range []error{blockErr, listErr} {
			if tt.words == "" {
				if err != nil && !strings.Contains(err.Error(), "panic") && listErr != nil {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			if (!errors.Is(err, block.ErrUnavailable) && !errors.Is(err, ErrInvalid)) || !strings.Contains(err.Error(), tt.words) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: error %q", name, err)
			}
		}
	}
}

func TestTokensTravelSafely(t *testing.T) {
	for _, tt := range []struct {
		url   string
		token string
		how   Exposure
		ok    bool
	}{
		{"http://127.0.0.1:7070", "t", TokenSafe, true},
		{"http://[::1]:7070", "t", TokenSafe, true},
		{"http://localhost", "t", TokenSafe, true},
		{"https://far.example", "t", TokenSafe, true},
		{"unix:///run/cached.sock", "t", TokenSafe, true},
		{"http://far.example", "t", TokenSafe, false},
		{"http://10.0.0.1:7070", "t", TokenSafe, false},
		{"http://10.0.0.1:7070", "t", TokenExposed, true},
		{"http://10.0.0.1:7070", "", TokenSafe, true},
		{"https://far.example", "two words", TokenSafe, false},
		{"https://far.example", "a\r\nHost: x", TokenSafe, false},
	} {
		c, err := NewClient(tt.url, ClientOptions{Token: tt.token, Exposed: tt.how})
		if (err == nil) != tt.ok {
			t.Errorf("%+v: %v", tt, err)
		}
		if err == nil {
			c.Close()
		} else if strings.Contains(err.Error(), "words") {
			t.Errorf("the error tells the token: %v", err)
		}
	}
}
