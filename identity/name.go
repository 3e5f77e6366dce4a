package identity

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"strings"
)

// The suffixes of the DNS forms and the trust domain of our own SPIFFE ids.
const (
	nodeSuffix  = ".zone.cached.internal"
	agentSuffix = ".agent.cached.internal"
	trustDomain = "cached.internal"
)

// maxName is the most characters a name of a zone, node, agent or tenant has:
// those of a label in DNS.
const maxName = 63

// CheckName reports what is wrong with the name of a zone, a node, an agent or a
// tenant: 1 to 63 of a-z 0-9 . -, beginning and ending with a letter or a digit,
// without "..". It becomes a part of DNS names and of SPIFFE ids.
func CheckName(name string) error {
	const rule = `use 1 to 63 of a-z 0-9 . -, beginning and ending with a letter or digit, without ".."`
	alnum := func(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
	if name == "" || len(name) > maxName || strings.Contains(name, "..") || !alnum(name[0]) || !alnum(name[len(name)-1]) {
		return fmt.Errorf("name %.80q: %s", name, rule)
	}
	for i := range len(name) {
		if c := name[i]; !alnum(c) && c != '.' && c != '-' {
			return fmt.Errorf("name %.80q: character %q: %s", name, c, rule)
		}
	}
	return nil
}

// A subject is one thing a certificate says its holder is.
type subject struct {
	zone   string
	node   string // of a node
	agent  string // of an agent
	tenant string // of an agent
}

func (s subject) String() string {
	if s.node != "" {
		return fmt.Sprintf("node %q of zone %q", s.node, s.zone)
	}
	return fmt.Sprintf("agent %q of tenant %q in zone %q", s.agent, s.tenant, s.zone)
}

// uri returns the SPIFFE form.
func (s subject) uri() *url.URL {
	path := "/zone/" + s.zone + "/node/" + s.node
	if s.node == "" {
		path = "/zone/" + s.zone + "/tenant/" + s.tenant + "/agent/" + s.agent
	}
	return &url.URL{Scheme: "spiffe", Host: trustDomain, Path: path}
}

// dns returns the DNS form, or "" where dots in a name would make it ambiguous.
func (s subject) dns() string {
	switch {
	case strings.Contains(s.zone, "."), strings.Contains(s.tenant, "."):
		return ""
	case s.node != "":
		return s.node + "." + s.zone + nodeSuffix
	}
	return s.agent + "." + s.tenant + "." + s.zone + agentSuffix
}

// subjectsOf returns all that a certificate says its holder is.
func subjectsOf(cert *x509.Certificate) []subject {
	var all []subject
	for _, u := range cert.URIs {
		if s, ok := parseURI(u); ok {
			all = append(all, s)
		}
	}
	for _, name := range cert.DNSNames {
		if s, ok := parseDNS(name); ok {
			all = append(all, s)
		}
	}
	return all
}

func parseURI(u *url.URL) (subject, bool) {
	if u.Scheme != "spiffe" || u.RawQuery != "" || u.Fragment != "" || u.RawPath != "" {
		return subject{}, false
	}
	var s subject
	switch p := strings.Split(u.Path, "/"); {
	case len(p) == 5 && p[0] == "" && p[1] == "zone" && p[3] == "node":
		s = subject{zone: p[2], node: p[4]}
		return s, CheckName(s.zone) == nil && CheckName(s.node) == nil
	case len(p) == 7 && p[0] == "" && p[1] == "zone" && p[3] == "tenant" && p[5] == "agent":
		s = subject{zone: p[2], tenant: p[4], agent: p[6]}
		return s, CheckName(s.zone) == nil && CheckName(s.tenant) == nil && CheckName(s.agent) == nil
	}
	return subject{}, false
}

// parseDNS reads a DNS form. The last label is the zone: a zone, or a tenant,
// with a dot in its name has no DNS form, since "a.b.c" could be a node a.b of
// zone c or a node a of zone b.c.
func parseDNS(name string) (subject, bool) {
	if rest, ok := strings.CutSuffix(name, nodeSuffix); ok {
		node, zone, ok := cutLast(rest)
		return subject{zone: zone, node: node}, ok && CheckName(zone) == nil && CheckName(node) == nil
	}
	if rest, ok := strings.CutSuffix(name, agentSuffix); ok {
		rest, zone, ok := cutLast(rest)
		if !ok {
			return subject{}, false
		}
		agent, tenant, ok := cutLast(rest)
		return subject{zone: zone, tenant: tenant, agent: agent},
			ok && CheckName(zone) == nil && CheckName(tenant) == nil && CheckName(agent) == nil
	}
	return subject{}, false
}

// cutLast splits name before its last label.
func cutLast(name string) (before, last string, ok bool) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return "", "", false
	}
	return name[:i], name[i+1:], true
}

// nodeOf returns the one node of the zone that cert is of.
func nodeOf(cert *x509.Certificate, zone string) (string, error) {
	var node string
	all := subjectsOf(cert)
	for _, s := range all {
		switch {
		case s.node == "" || s.zone != zone || s.node == node:
		case node == "":
			node = s.node
		default:
			return "", fmt.Errorf("%s names two nodes, %q and %q: issue one for each", describe(cert), node, s.node)
		}
	}
	if node != "" {
		return node, nil
	}
	if len(all) == 0 {
		return "", fmt.Errorf("%s names no node: want the URI spiffe://DOMAIN/zone/%s/node/NAME or the DNS name NAME.%s%s in it", describe(cert), zone, zone, nodeSuffix)
	}
	return "", fmt.Errorf("%s is of %s, not of a node of zone %q: a node reads from its own zone only", describe(cert), all[0], zone)
}

// describe names a certificate in errors.
func describe(cert *x509.Certificate) string {
	var name string
	switch {
	case len(cert.URIs) > 0:
		name = cert.URIs[0].String()
	case len(cert.DNSNames) > 0:
		name = cert.DNSNames[0]
	default:
		name = cert.Subject.String()
	}
	return fmt.Sprintf("certificate %.200q", name)
}
