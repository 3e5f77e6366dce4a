package main

import (
	"bytes"
	"context"
	"crypto/tls"
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
	g.address, g.door = port.Addr().String(), d.door
	g.door.tenants.now = g.clock.now
	d.serve(port, admin)
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
	m, err := manifestFromProto(resp.GetManifest(), resp.GetManifestId())
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

// Two tenants want the same block and only one may: the other is denied in every
// encoding, and sees the same whether the block is cached, or exists.
func TestTwoTenantsOneBlock(t *testing.T) {
	g := startGuarded(t, plainText)
	publishFile(t, g.origin, "shop-app", 300_000)
	publishFile(t, g.origin, "bank-app", 400_000)
	manifest, ids := g.blocksOf(t, "bank", "bank-app")
	g.blocksOf(t, "shop", "shop-app")
	secret := ids[0]

	for _, image := range []string{"shop-app", "bank-app", manifest, "", "shop-*"} {
		never := g.seen(t, "shop", image, block.Sum([]byte("no such block")))
		cold := g.seen(t, "shop", image, secret)
		b, err := g.client(t, api.ClientOptions{Token: "bank"}).ReadBlock(block.WithCall(t.Context(), block.Call{Image: "bank-app"}), secret)
		if err != nil {
			t.Fatal(err)
		}
		b.Release()
		warm := g.seen(t, "shop", image, secret)
		for name := range cold {
			absent := strings.ReplaceAll(never[name], block.Sum([]byte("no such block")).String(), secret.String())
			if cold[name] != absent {
				t.Errorf("%s, image %q: a block that does not exist is told from one that does:\n%s\n%s", name, image, absent, cold[name])
			}
			if cold[name] != warm[name] {
				t.Errorf("%s, image %q: the answer shows whether the block is cached:\n%s\n%s", name, image, cold[name], warm[name])
			}
			if !strings.Contains(warm[name], "403") && !strings.Contains(warm[name], "permission") {
				t.Errorf("%s, image %q: not denied: %s", name, image, warm[name])
			}
		}
	}
	// And the tenant who may read does, also by the manifest's id.
	for _, image := range []string{"bank-app", manifest} {
		for name, what := range g.seen(t, "bank", image, secret) {
			if !strings.HasPrefix(what, "200") && !strings.HasPrefix(what, "206") && what != "<nil>" && name != "connect JSON" { // whose offset is too large
				t.Errorf("%s, image %q: %s", name, image, what)
			}
		}
	}
	if !strings.Contains(g.log.String(), "a tenant was refused") {
		t.Errorf("nothing in the log:\n%s", g.log)
	}
}

// Tokens and patterns change with the file; one that is broken changes nothing.
func TestTenantsFileIsReadAgain(t *testing.T) {
	g := startGuarded(t, plainText)
	publishFile(t, g.origin, "shop-app", 300_000)
	_, ids := g.blocksOf(t, "shop", "shop-app")
	read := func(token string) error {
		b, err := g.client(t, api.ClientOptions{Token: token}).ReadBlock(block.WithCall(t.Context(), block.Call{Image: "shop-app"}), ids[0])
		b.Release()
		return err
	}
	write := func(doc string) {
		if err := os.WriteFile(g.tenants, []byte(tenantsDoc(doc)), 0o600); err != nil {
			t.Fatal(err)
		}
		g.clock.add(3 * time.Second)
	}
	if err := read("shop"); err != nil {
		t.Fatal(err)
	}
	write(`tenants: [{name: shop, tokens: ["DIGEST(shop)", "DIGEST(new)"], images: ["shop-*"]}]`)
	if err := errors.Join(read("shop"), read("new")); err != nil {
		t.Errorf("while a token is replaced: %v", err)
	}
	write(`tenants: [{name: shop, tokens: ["DIGEST(new)"], images: ["shop-*"]}]`)
	if err := read("shop"); !errors.Is(err, block.ErrUnauthenticated) {
		t.Errorf("the old token: %v", err)
	}
	for _, broken := range []string{"", "tenants: [", "tenants: [{name: shop, tokens: [plain]}]", "tenants: []", "nonsense: 1"} {
		write(broken)
		for range 3 {
			if err := read("new"); err != nil {
				t.Errorf("with %q: %v", broken, err)
			}
			g.clock.add(3 * time.Second)
		}
		if n := len(g.door.warnings()); n != 1 {
			t.Errorf("with %q: warnings %q", broken, g.door.warnings())
		}
	}
	if n := strings.Count(g.log.String(), "the tenants file cannot be used"); n < 3 || n > 5 {
		t.Errorf("%d lines about broken files, want one for each new problem:\n%s", n, g.log)
	}
	if err := os.Remove(g.tenants); err != nil {
		t.Fatal(err)
	}
	g.clock.add(3 * time.Second)
	if err := read("new"); err != nil {
		t.Errorf("without the file: %v", err)
	}
	write(`tenants: [{name: shop, tokens: ["DIGEST(new)"], images: ["other"]}]`)
	if err := read("new"); !errors.Is(err, block.ErrDenied) {
		t.Errorf("an image taken away: %v", err)
	}
	if w := g.door.warnings(); len(w) != 0 {
		t.Errorf("warnings %q", w)
	}
}

// Certificates say who reads, are renewed under running connections, and say
// what is wrong with them.
func TestAgentsCertificates(t *testing.T) {
	g := startGuarded(t, overTLS)
	publishFile(t, g.origin, "shop-app", 300_000)
	_, ids := g.blocksOf(t, "shop", "shop-app")
	dir := t.TempDir()
	g.issue(t, identity.Request{Agent: "a", Tenant: "shop"}, dir)
	src, err := identity.Load(dir, identity.Options{})
	if err != nil {
		t.Fatal(err)
	}
	client := g.client(t, api.ClientOptions{TLS: src.AgentClient("127.0.0.1")})
	call := block.WithCall(t.Context(), block.Call{Image: "shop-app"})
	for range 3 {
		readAndReleaseOf(t, call, client, ids[0])
		g.issue(t, identity.Request{Node: "n1"}, g.certs)
	}
	if _, err := client.Status(t.Context()); !errors.Is(err, block.ErrDenied) {
		t.Errorf("an agent asks for the status: %v", err)
	}
	stranger, err := identity.NewCA(identity.CAOptions{Zone: "z1"})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		ca    *identity.CA
		r     identity.Request
		words string
	}{
		"another CA":  {stranger, identity.Request{Agent: "a", Tenant: "shop"}, "which is no CA of"},
		"expired":     {g.ca, identity.Request{Agent: "a", Tenant: "shop", Lifetime: time.Nanosecond}, "expired at"},
		"a node's":    {g.ca, identity.Request{Node: "n2"}, "neither a bearer token nor an agent's certificate"},
		"of nobody's": {g.ca, identity.Request{Agent: "a", Tenant: "nobody"}, "of no tenant of the tenants file"},
	} {
		b, err := tt.ca.Issue(tt.r)
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(b.Cert, b.Key)
		if err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(10 * time.Second) // complaints are logged once a second
		for !strings.Contains(g.log.String(), tt.words) && time.Now().Before(deadline) {
			c := g.client(t, api.ClientOptions{TLS: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}}})
			if b, err := c.ReadBlock(call, ids[0]); err == nil {
				b.Release()
				t.Fatalf("%s: read", name)
			}
		}
		if !strings.Contains(g.log.String(), tt.words) {
			t.Errorf("%s: the log does not say %q:\n%s", name, tt.words, g.log)
		}
	}
}

// A file of versions loses at most what was being written.
func TestVersionsFile(t *testing.T) {
	dir := t.TempDir()
	log := &lockedBuffer{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	a, b := block.Sum([]byte("a")), block.Sum([]byte("b"))
	first, known := openVersions(dir, logger)
	if len(known) != 0 {
		t.Fatalf("known %v", known)
	}
	for _, p := range []access.Pointer{{Name: "x", Manifest: a}, {Name: "y", Manifest: a}, {Name: "x", Manifest: b}, {Name: "x", Manifest: a}} {
		first.learned(p)
	}
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "versions")
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(doc, "garbage\n\x00\x00\nz blake3:12"...), 0o600); err != nil {
		t.Fatal(err)
	}
	want := []access.Pointer{{Name: "y", Manifest: a}, {Name: "x", Manifest: b}, {Name: "x", Manifest: a}}
	for range 2 {
		next, known := openVersions(dir, logger)
		if fmt.Sprint(known) != fmt.Sprint(want) {
			t.Errorf("known %v, want %v", known, want)
		}
		if err := next.close(); err != nil {
			t.Fatal(err)
		}
	}
	gone, known := openVersions(filepath.Join(dir, "nowhere"), logger)
	gone.learned(want[0])
	if err := gone.close(); err != nil || len(known) != 0 || !strings.Contains(log.String(), "not kept across restarts") {
		t.Errorf("%v, %v, %s", err, known, log)
	}
}

func readAndReleaseOf(t *testing.T, ctx context.Context, c *api.Client, id block.ID) {
	t.Helper()
	b, err := c.ReadBlock(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	b.Release()
}
