package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	rpc "connectrpc.com/connect"

	"github.com/zonecache/cached/access"
	"github.com/zonecache/cached/agent"
	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/api/cachedv1/cachedv1connect"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/identity"
	"github.com/zonecache/cached/internal/rate"
)

const twoTenants = `
tenants:
  - {name: shop, tokens: ["DIGEST(shop)"], images: ["shop-*"]}
  - {name: bank, tokens: ["DIGEST(bank)"], images: ["bank-*"]}
  - {name: ops, tokens: ["DIGEST(ops)"], operator: true}
`

// tenantsDoc fills in the digests of tokens.
func tenantsDoc(doc string) string {
	for {
		before, rest, ok := strings.Cut(doc, "DIGEST(")
		if !ok {
			return doc
		}
		token, after, _ := strings.Cut(rest, ")")
		doc = before + access.TokenDigest(token) + after
	}
}

// A guarded is a daemon with tenants, whose log the test reads.
type guarded struct {
	address string
	admin   string
	origin  string
	tenants string // the file
	certs   string // the agents' port's
	ca      *identity.CA
	door    *door
	log     *lockedBuffer
	clock   *testClock
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A testClock is ahead of time by what the test says.
type testClock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *testClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// A transport says how a guarded daemon is reached.
type transport int

const (
	plainText transport = iota
	overTLS
)

func startGuarded(t *testing.T, how transport) *guarded {
	t.Helper()
	dir := t.TempDir()
	g := &guarded{origin: filepath.Join(dir, "origin"), tenants: filepath.Join(dir, "tenants.yaml"), certs: filepath.Join(dir, "certs"), log: &lockedBuffer{}, clock: &testClock{}}
	if err := os.WriteFile(g.tenants, []byte(tenantsDoc(twoTenants)), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := Default()
	cfg.DataDir, cfg.L1.Size, cfg.L2.Size, cfg.L2.MinFree = filepath.Join(dir, "data"), 64<<20, 64<<20, 0
	cfg.Origins, cfg.Auth.Tenants = []string{"file://" + g.origin}, g.tenants
	var err error
	if g.ca, err = identity.NewCA(identity.CAOptions{Zone: "z1"}); err != nil {
		t.Fatal(err)
	}
	if how == overTLS {
		g.issue(t, identity.Request{Node: "n1"}, g.certs)
		cfg.TLS.Dir = g.certs
	}
	cfg.complete()
	if err := prepareDirs(cfg); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(g.log, nil))
	n, err := wire(context.Background(), cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	port, admin := rate.Listen(t), rate.Listen(t)
	d, err := newDaemon(cfg, n, log, port.Addr().String(), admin.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	g.address, g.admin, g.door = port.Addr().String(), admin.Addr().String(), d.door
	g.door.tenants.now, g.door.now = g.clock.now, g.clock.now
	d.serveAdmin(admin)
	d.serve(port)
	t.Cleanup(func() {
		if err := d.drain(10 * time.Second); err != nil {
			t.Error(err)
		}
		<-d.failed
		<-d.failed
		if err := n.ledger.Check(); err != nil {
			t.Error(err)
		}
		if err := n.close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func (g *guarded) issue(t *testing.T, r identity.Request, dir string) {
	t.Helper()
	b, err := g.ca.Issue(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Write(dir); err != nil {
		t.Fatal(err)
	}
}

func (g *guarded) client(t *testing.T, o api.ClientOptions) *api.Client {
	t.Helper()
	scheme := "http://"
	if g.door.source != nil {
		scheme = "https://"
		if o.TLS == nil {
			file := filepath.Join(t.TempDir(), "ca.crt")
			if err := os.WriteFile(file, g.ca.PEM(), 0o600); err != nil {
				t.Fatal(err)
			}
			var err error
			if o.TLS, err = identity.HostClient(file, "127.0.0.1"); err != nil {
				t.Fatal(err)
			}
		}
	}
	c, err := api.NewClient(scheme+g.address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// blocksOf returns the ids of an image's blocks, as its tenant sees them.
func (g *guarded) blocksOf(t *testing.T, token, image string) (manifest string, ids []block.ID) {
	t.Helper()
	resp, err := g.client(t, api.ClientOptions{Token: token}).GetImage(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	m, err := agent.ManifestFromProto(resp.GetManifest(), resp.GetManifestId())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range m.Blocks {
		ids = append(ids, b.ID)
	}
	return resp.GetManifestId(), ids
}

// seen is everything a caller can tell two answers apart by, but their time.
func (g *guarded) seen(t *testing.T, token, image string, id block.ID) map[string]string {
	t.Helper()
	base := "http://" + g.address
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	h1, h2 := &http.Client{Transport: &http.Transport{}}, &http.Client{Transport: &http.Transport{Protocols: &p}}
	defer h1.CloseIdleConnections()
	defer h2.CloseIdleConnections()
	all := map[string]string{}

	do := func(name string, hc *http.Client, method, path, contentType string, body []byte) {
		req, err := http.NewRequestWithContext(t.Context(), method, base+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		if contentType != "" {
			req.Header.Set("Content-Type", contentType)
		}
		resp, err := hc.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		content, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		resp.Header.Del("Date")
		all[name] = fmt.Sprintf("%s %v %v %q", resp.Status, resp.Header, resp.Trailer, content)
	}
	query := "encoding=raw&id=" + id.String() + "&image=" + image + "&tenant=bank"
	do("raw over net/http", h1, "GET", "/cached.v1.BlockService/ReadBlock?"+query, "application/octet-stream", nil)
	do("alias", h1, "GET", "/blocks/"+id.String()+"?image="+image, "", nil)
	do("range", h1, "HEAD", "/blocks/"+id.String()+"?image="+image, "", nil)
	do("connect JSON", h1, "POST", "/cached.v1.BlockService/ReadBlock", "application/json",
		fmt.Appendf(nil, `{"id":%q,"context":{"image":%q,"tenant":"bank"},"offset":99999999}`, id, image))
	for name, opts := range map[string][]rpc.ClientOption{"connect proto": nil, "grpc": {rpc.WithGRPC()}, "grpc-web": {rpc.WithGRPCWeb()}} {
		hc := h1
		if name == "grpc" {
			hc = h2
		}
		ctx, info := rpc.NewClientContext(t.Context())
		info.RequestHeader().Set("Authorization", "Bearer "+token)
		_, err := cachedv1connect.NewBlockServiceClient(hc, base, opts...).ReadBlock(ctx,
			&cachedv1.ReadBlockRequest{Id: id.String(), Context: &cachedv1.CallContext{Image: image, Tenant: "bank"}})
		var wire *rpc.Error
		if errors.As(err, &wire) {
			wire.Meta().Del("Date")
			all[name] = fmt.Sprint(wire.Code(), wire.Message(), wire.Meta(), wire.Details())
		} else {
			all[name] = fmt.Sprint(err)
		}
	}
	got, err := g.client(t, api.ClientOptions{Token: token}).ReadBlock(block.WithCall(t.Context(), block.Call{Image: image, Tenant: "bank"}), id)
	got.Release()
	all["raw"] = fmt.Sprint(err)
	return all
}
