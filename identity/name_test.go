package identity

import (
	"crypto/x509"
	"net/url"
	"strings"
	"testing"
)

func TestNamesInCertificates(t *testing.T) {
	for _, c := range []struct {
		uri, dns string
		zone     string
		node     string
		words    string
	}{
		{uri: "spiffe://any.example/zone/z1/node/a.b", zone: "z1", node: "a.b"},
		{dns: "a.b.z1.zone.cached.internal", zone: "z1", node: "a.b"},
		{uri: "spiffe://x/zone/z1/node/a", dns: "a.z1.zone.cached.internal", zone: "z1", node: "a"},
		{uri: "spiffe://x/zone/z1/node/a", dns: "b.z1.zone.cached.internal", zone: "z1", words: "two nodes"},
		{uri: "spiffe://x/zone/z1/node/a", zone: "z2", words: `zone "z1"`},
		{dns: "a.b.c.zone.cached.internal", zone: "b.c", words: `zone "c"`}, // no DNS form for zones with dots
		{uri: "spiffe://x/zone/b.c/node/a", zone: "b.c", node: "a"},
		{uri: "https://x/zone/z1/node/a", zone: "z1", words: "names no node"},
		{uri: "spiffe://x/zone/z1/node/a/b", zone: "z1", words: "names no node"},
		{uri: "spiffe://x/zone/z1/node/", zone: "z1", words: "names no node"},
		{uri: "spiffe://x/zone/z1/node/A", zone: "z1", words: "names no node"},
		{uri: "spiffe://x/zone/z1/node/a%2Fb", zone: "z1", words: "names no node"},
		{uri: "spiffe://x/zone/z1/node/a?x=1", zone: "z1", words: "names no node"},
		{dns: "z1.zone.cached.internal", zone: "z1", words: "names no node"},
		{dns: "*.z1.zone.cached.internal", zone: "z1", words: "names no node"},
		{dns: "a.t.z1.agent.cached.internal", zone: "z1", words: "agent"},
		{zone: "z1", words: "names no node"},
	} {
		cert := &x509.Certificate{}
		if c.uri != "" {
			u, err := url.Parse(c.uri)
			if err != nil {
				t.Fatal(err)
			}
			cert.URIs = []*url.URL{u}
		}
		if c.dns != "" {
			cert.DNSNames = []string{c.dns}
		}
		node, err := nodeOf(cert, c.zone)
		if node != c.node || (err == nil) != (c.words == "") || err != nil && !strings.Contains(err.Error(), c.words) {
			t.Errorf("%q %q in zone %q: node %q, %v, want %q and %q", c.uri, c.dns, c.zone, node, err, c.node, c.words)
		}
	}
}

func TestSubjectFormsAgree(t *testing.T) {
	for _, s := range []subject{
		{zone: "z1", node: "a"}, {zone: "z1", node: "host-1.rack.2"}, {zone: "z1", tenant: "shop", agent: "a.b"},
	} {
		if got, ok := parseURI(s.uri()); !ok || got != s {
			t.Errorf("%v: URI %s reads as %v", s, s.uri(), got)
		}
		if got, ok := parseDNS(s.dns()); !ok || got != s {
			t.Errorf("%v: DNS name %s reads as %v", s, s.dns(), got)
		}
	}
	for _, s := range []subject{{zone: "eu.1", node: "a"}, {zone: "z1", tenant: "a.b", agent: "c"}} {
		if s.dns() != "" {
			t.Errorf("%v has the ambiguous DNS name %s", s, s.dns())
		}
	}
}
