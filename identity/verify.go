package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// ErrRefused matches every error about a certificate the other side showed, or
// did not show.
var ErrRefused = errors.New("certificate refused")

// A refusal says what is wrong with the other side's certificate.
type refusal struct{ error }

// Is makes all refusals match [ErrRefused].
func (refusal) Is(target error) bool { return target == ErrRefused }

func (r refusal) Unwrap() error { return r.error }

func refuse(format string, args ...any) error { return refusal{fmt.Errorf(format, args...)} }

// Node returns the node of the zone that the other side of a connection made
// with [Source.PeerServer] or [Source.PeerClient] is, whose handshake has checked
// the certificate.
func Node(state tls.ConnectionState, zone string) (string, error) {
	if len(state.PeerCertificates) == 0 {
		return "", refuse("no certificate was shown: peers want one of zone %q", zone)
	}
	node, err := nodeOf(state.PeerCertificates[0], zone)
	if err != nil {
		return "", refusal{err}
	}
	return node, nil
}

// OfNode returns an Accept for [Options] that wants the certificate of this node
// of the zone and no other: files put into the wrong directory must not make a
// running node somebody else.
func OfNode(zone, node string) func(*x509.Certificate) error {
	return func(leaf *x509.Certificate) error {
		switch got, err := nodeOf(leaf, zone); {
		case err != nil:
			return err
		case got != node:
			return fmt.Errorf("the certificate is of node %q, this is node %q: issue one for it (`cached certs issue`), or set --node", got, node)
		}
		return nil
	}
}

// An Agent is the holder of an agent's certificate.
type Agent struct {
	Names  []string // every URI and DNS name in the certificate
	Zone   string   // these three are empty in a certificate that names agents in
	Tenant string   // some other way
	Name   string
}

// AgentOf returns the agent at the other side of a connection made with
// [Source.AgentServer]; the result is false when it showed no certificate. A
// certificate that names a node, or two agents, is no agent's.
func AgentOf(state tls.ConnectionState) (Agent, bool) {
	if len(state.PeerCertificates) == 0 {
		return Agent{}, false
	}
	cert := state.PeerCertificates[0]
	var a Agent
	for _, s := range subjectsOf(cert) {
		if s.agent == "" || a.Name != "" && s != (subject{zone: a.Zone, tenant: a.Tenant, agent: a.Name}) {
			return Agent{}, false
		}
		a.Zone, a.Tenant, a.Name = s.zone, s.tenant, s.agent
	}
	for _, u := range cert.URIs {
		a.Names = append(a.Names, u.String())
	}
	a.Names = append(a.Names, cert.DNSNames...)
	return a, true
}

// verify checks the certificates the other side showed.
func (s *Source) verify(shown []*x509.Certificate, usage x509.ExtKeyUsage) error {
	leaf, now, m := shown[0], s.options.Now(), s.refreshed()
	if err := checkDates(leaf, now); err != nil {
		return refusal{err}
	}
	opts := x509.VerifyOptions{Roots: m.roots, Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}}
	for _, c := range shown[1:] {
		opts.Intermediates.AddCert(c)
	}
	_, err := leaf.Verify(opts)
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unknown):
		return refuse("%s was issued by %q, which is no CA of %s: the two sides belong to different zones, or one has an old file", describe(leaf), leaf.Issuer, m.caFile)
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return refuse("%s may not be used as the %s's: issue one for both server auth and client auth", describe(leaf), usageName(usage))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil && invalid.Cert != leaf:
		return refuse("%s comes from a CA that is not valid now: %w", describe(leaf), checkDates(invalid.Cert, now))
	}
	return refuse("%s, checked with %s: %w", describe(leaf), m.caFile, err)
}

func usageName(u x509.ExtKeyUsage) string {
	if u == x509.ExtKeyUsageServerAuth {
		return "server"
	}
	return "client"
}

// checkDates says what the clock here and the one that stamped the certificate
// say when they disagree.
func checkDates(cert *x509.Certificate, now time.Time) error {
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	switch {
	case now.Before(cert.NotBefore):
		return fmt.Errorf("%s is not valid before %s by its issuer's clock, and this host's clock says %s, %s too early: set the clocks right, or wait",
			describe(cert), stamp(cert.NotBefore), stamp(now), cert.NotBefore.Sub(now).Round(time.Second))
	case now.After(cert.NotAfter):
		return fmt.Errorf("%s expired at %s by its issuer's clock, and this host's clock says %s, %s later: renew it (`cached certs issue`), or set the clocks right",
			describe(cert), stamp(cert.NotAfter), stamp(now), now.Sub(cert.NotAfter).Round(time.Second))
	}
	return nil
}
