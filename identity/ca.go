package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

const (
	// backdate is how long before they are made certificates begin, so that hosts
	// whose clocks are behind accept them. An hour is a summer time gone wrong, a
	// day any time zone. A certificate of six hours or less is late to be renewed from
	// the start.
	backdate = 24 * time.Hour
	// DefaultCALifetime is how long a CA of ours is valid.
	DefaultCALifetime = 10 * 365 * 24 * time.Hour
	// DefaultLifetime is how long a certificate of ours is valid: people renew it.
	DefaultLifetime = 365 * 24 * time.Hour
)

// The files of a CA's directory.
const (
	caCertFile = "ca.crt"
	caKeyFile  = "ca.key"
)

// A CA issues certificates for one zone. It is for zones small enough that one
// person hands them out; its key stays on one machine.
type CA struct {
	zone string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	now  func() time.Time
}

// CAOptions are a new CA's; all but Zone may be zero.
type CAOptions struct {
	Zone     string
	Domains  []string         // DNS domains of hosts, beside localhost, that certificates may name
	Lifetime time.Duration    // 0: DefaultCALifetime
	Now      func() time.Time // nil: time.Now
}

// NewCA makes a CA with an ECDSA P-256 key. What its certificates may name is
// constrained to the zone's names, localhost and the domains, so that the CA is
// worth nothing outside of the zone.
func NewCA(o CAOptions) (*CA, error) {
	if err := CheckName(o.Zone); err != nil {
		return nil, fmt.Errorf("identity: zone: %w", err)
	}
	if o.Lifetime <= 0 {
		o.Lifetime = DefaultCALifetime
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	domains := []string{o.Zone + nodeSuffix, o.Zone + agentSuffix, "localhost"}
	for _, d := range o.Domains {
		if err := CheckName(d); err != nil {
			return nil, fmt.Errorf("identity: domain: %w", err)
		}
		domains = append(domains, d)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	now := o.Now()
	template := &x509.Certificate{
		SerialNumber:                serial(),
		Subject:                     pkix.Name{CommonName: "cached zone " + o.Zone, Organization: []string{organization}, OrganizationalUnit: []string{o.Zone}},
		NotBefore:                   now.Add(-backdate),
		NotAfter:                    now.Add(o.Lifetime),
		IsCA:                        true,
		BasicConstraintsValid:       true,
		MaxPathLenZero:              true,
		KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         domains,
		PermittedURIDomains:         []string{trustDomain},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("identity: make a CA: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("identity: make a CA: %w", err)
	}
	return &CA{zone: o.Zone, cert: cert, key: key, now: o.Now}, nil
}

// organization marks the CAs made here, whose subject names their zone.
const organization = "cached"

// OpenCA reads the CA that [CA.Write] left in dir.
func OpenCA(dir string) (*CA, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, caCertFile), filepath.Join(dir, caKeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("identity: %s holds no CA (ca.crt and ca.key): make one with `cached certs init`: %w", dir, err)
	} else if err != nil {
		return nil, fmt.Errorf("identity: %s: %w", dir, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	subject := pair.Leaf.Subject
	if !ok || !pair.Leaf.IsCA || len(subject.OrganizationalUnit) != 1 || len(subject.Organization) != 1 || subject.Organization[0] != organization {
		return nil, fmt.Errorf("identity: %s: %q is no CA that `cached certs init` made", dir, subject)
	}
	return &CA{zone: subject.OrganizationalUnit[0], cert: pair.Leaf, key: key, now: time.Now}, nil
}

// Zone returns the zone whose names the CA's certificates carry.
func (ca *CA) Zone() string { return ca.zone }

// NotAfter returns when the CA ends.
func (ca *CA) NotAfter() time.Time { return ca.cert.NotAfter }

// PEM returns the CA's certificate, for ca.crt.
func (ca *CA) PEM() []byte { return certPEM(ca.cert.Raw) }

// Write puts the CA into dir, which is made if need be. A CA that is there
// already is an error.
func (ca *CA) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	key, err := keyPEM(ca.key)
	if err != nil {
		return err
	}
	for _, f := range []file{{caKeyFile, key, 0o600, keepOld}, {caCertFile, ca.PEM(), 0o644, keepOld}} {
		err := f.write(dir)
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("identity: %s holds a CA already, and every certificate it issued depends on it: choose another directory, or move its %s away: %w", dir, f.name, fs.ErrExist)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// A Request says whose certificate to issue: a node's, or an agent's of a tenant.
type Request struct {
	Node     string
	Agent    string
	Tenant   string
	Hosts    []string      // further names and addresses at which a node is reached by agents
	Lifetime time.Duration // 0: DefaultLifetime, and never beyond the CA's
}

// A Bundle is an issued certificate with all its holder needs, in PEM.
type Bundle struct {
	Cert, Key, CA []byte
	NotAfter      time.Time
}

// Issue makes a key and a certificate. A node's serves and reads; it is also
// valid for localhost, so that agents on its host can check it by host name.
func (ca *CA) Issue(r Request) (*Bundle, error) {
	template, err := ca.template(r)
	if err != nil {
		return nil, fmt.Errorf("identity: issue: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		return nil, fmt.Errorf("identity: issue: %w", err)
	}
	if err := ca.check(der); err != nil {
		return nil, err
	}
	b := &Bundle{Cert: certPEM(der), CA: ca.PEM(), NotAfter: template.NotAfter}
	b.Key, err = keyPEM(key)
	return b, err
}

func (ca *CA) template(r Request) (*x509.Certificate, error) {
	s := subject{zone: ca.zone, node: r.Node, agent: r.Agent, tenant: r.Tenant}
	names := []string{r.Agent, r.Tenant}
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if r.Node != "" {
		if r.Agent != "" || r.Tenant != "" {
			return nil, errors.New("a certificate is a node's or an agent's, not both")
		}
		names = []string{r.Node}
		usages = append(usages, x509.ExtKeyUsageServerAuth)
	} else if len(r.Hosts) > 0 {
		return nil, errors.New("hosts are for a node's certificate: an agent serves nobody")
	}
	for _, name := range names {
		if err := CheckName(name); err != nil {
			return nil, err
		}
	}
	if r.Lifetime <= 0 {
		r.Lifetime = DefaultLifetime
	}
	now := ca.now()
	if err := checkDates(ca.cert, now); err != nil {
		return nil, fmt.Errorf("the CA: %w", err)
	}
	until := now.Add(r.Lifetime)
	if until.After(ca.cert.NotAfter) {
		until = ca.cert.NotAfter
	}
	t := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: names[0], Organization: []string{organization}},
		NotBefore:    now.Add(-backdate),
		NotAfter:     until,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  usages,
		URIs:         []*url.URL{s.uri()},
	}
	if name := s.dns(); name != "" {
		t.DNSNames = append(t.DNSNames, name)
	}
	if r.Node != "" {
		r.Hosts = append([]string{"localhost", "127.0.0.1", "::1"}, r.Hosts...)
	}
	for _, h := range r.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	return t, nil
}

// check refuses to hand out what others would refuse, above all a host outside of
// the CA's domains.
func (ca *CA) check(der []byte) error {
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("identity: issue: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: leaf.NotAfter, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return fmt.Errorf("identity: issue: the CA may name hosts in %v only (`cached certs init --domain` adds to them): %w", ca.cert.PermittedDNSDomains, err)
	}
	return nil
}

// Write puts the bundle into dir as cert-manager would. What is there already is
// replaced: that is how a certificate is renewed. The key is replaced first; a
// [Source] that reads between the two replacements keeps what it has until both
// are done.
func (b *Bundle) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	l := layouts[0]
	for _, f := range []file{{l.ca, b.CA, 0o644, replaceOld}, {l.key, b.Key, 0o600, replaceOld}, {l.cert, b.Cert, 0o644, replaceOld}} {
		if err := f.write(dir); err != nil {
			return err
		}
	}
	return nil
}

func serial() *big.Int {
	var p [16]byte
	_, _ = rand.Read(p[:]) // never fails
	p[0] = p[0]&0x7f | 0x40
	return new(big.Int).SetBytes(p[:])
}
