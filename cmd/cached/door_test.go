package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zonecache/cached/access"
	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/identity"
)

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
	// One that ends while connections stand, and is renewed, fails no read.
	g.issue(t, identity.Request{Agent: "a", Tenant: "shop", Lifetime: time.Hour}, dir)
	if src, err = identity.Load(dir, identity.Options{Now: g.clock.now}); err != nil {
		t.Fatal(err)
	}
	client = g.client(t, api.ClientOptions{TLS: src.AgentClient("127.0.0.1")})
	readAndReleaseOf(t, call, client, ids[0])
	if _, err := client.ListImages(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.issue(t, identity.Request{Agent: "a", Tenant: "shop"}, dir)
	g.clock.add(2 * time.Hour)
	readAndReleaseOf(t, call, client, ids[0])
	_, _ = client.ListImages(t.Context()) // learns that the connection is no good any more
	if _, err := client.ListImages(t.Context()); err != nil {
		t.Fatal(err)
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

// Every call of an agent is one decision, by what proved who it is or why it got nothing;
// who is let in and may not read is two. And the page says when the port's certificate begins and ends.
func TestEveryDecisionOfTheDoorIsCounted(t *testing.T) {
	g := startGuarded(t, overTLS)
	publishFile(t, g.origin, "shop-app", 300_000)
	page := func() map[string]float64 {
		t.Helper()
		resp, err := http.Get("http://" + g.admin + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		all := samplesOf(t, string(text))
		maps.DeleteFunc(all, func(name string, _ float64) bool {
			return !strings.HasPrefix(name, "auth_decisions_total") && !strings.HasPrefix(name, "certificate_")
		})
		return all
	}
	from, until := g.door.source.Dates()
	want := map[string]float64{
		"auth_decisions_total{decision=allowed,reason=token}":          0,
		"auth_decisions_total{decision=allowed,reason=certificate}":    0,
		"auth_decisions_total{decision=denied,reason=certificate}":     0,
		"auth_decisions_total{decision=denied,reason=unauthenticated}": 0,
		"auth_decisions_total{decision=denied,reason=access}":          0,
		"certificate_start_timestamp_seconds{use=agents}":              float64(from.Unix()),
		"certificate_expiry_timestamp_seconds{use=agents}":             float64(until.Unix()),
	}
	if got := page(); !maps.Equal(got, want) {
		t.Errorf("at the start: %v, want %v", got, want)
	}
	agent := func(ca *identity.CA) *tls.Config {
		t.Helper()
		b, err := ca.Issue(identity.Request{Agent: "a", Tenant: "shop"})
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(b.Cert, b.Key)
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}}
	}
	stranger, err := identity.NewCA(identity.CAOptions{Zone: "z1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []struct {
		client *api.Client
		calls  int
		image  string
		counts []string
	}{
		{g.client(t, api.ClientOptions{Token: "shop"}), 5, "shop-app", []string{"allowed,reason=token"}},
		{g.client(t, api.ClientOptions{TLS: agent(g.ca)}), 4, "shop-app", []string{"allowed,reason=certificate"}},
		{g.client(t, api.ClientOptions{Token: "nobody's"}), 3, "shop-app", []string{"denied,reason=unauthenticated"}},
		{g.client(t, api.ClientOptions{Token: "shop"}), 2, "bank-app", []string{"allowed,reason=token", "denied,reason=access"}},
		{g.client(t, api.ClientOptions{TLS: agent(stranger)}), 1, "shop-app", []string{"denied,reason=certificate"}},
	} {
		for range who.calls {
			if _, err := who.client.GetImage(t.Context(), who.image); (err == nil) != (len(who.counts) == 1 && strings.HasPrefix(who.counts[0], "allowed")) {
				t.Errorf("%v: %v", who.counts, err)
			}
		}
		for _, count := range who.counts {
			want["auth_decisions_total{decision="+count+"}"] += float64(who.calls)
		}
		eventually(t, strings.Join(who.counts, " and "), func() bool { return maps.Equal(page(), want) })
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

// What agents are shown ends as what peers are shown does: in good time it is said.
func TestStatusWarnsOfTheAgentsCertificate(t *testing.T) {
	ca, _ := provenZone(t, "z1")
	for lifetime, want := range map[time.Duration]string{365 * 24 * time.Hour: "", 5 * time.Hour: "agents: this node's certificate ends in 5h0m0s and was not renewed yet"} {
		dir, _ := issueNode(t, ca, "a", lifetime)
		src, err := identity.Load(dir, identity.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join((&door{source: src}).warnings(), "; "); got != want {
			t.Errorf("a certificate of %s: %q, want %q", lifetime, got, want)
		}
	}
}
