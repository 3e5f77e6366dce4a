package identity

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A layout names the files of a directory.
type layout struct{ who, cert, key, ca string }

var layouts = [...]layout{
	{"cert-manager or `cached certs`", "tls.crt", "tls.key", "ca.crt"},
	{"SPIFFE", "svid.pem", "svid_key.pem", "svid_bundle.pem"},
}

// findLayout returns the layout of dir.
func findLayout(dir string) (layout, error) {
	var found []layout
	for _, l := range layouts {
		switch _, err := os.Stat(filepath.Join(dir, l.cert)); {
		case err == nil:
			found = append(found, l)
		case !errors.Is(err, fs.ErrNotExist):
			return layout{}, fmt.Errorf("identity: %w", err)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		if _, err := os.Stat(dir); err != nil {
			return layout{}, fmt.Errorf("identity: %w", err)
		}
		return layout{}, fmt.Errorf("identity: %s holds neither tls.crt, tls.key and ca.crt (cert-manager, `cached certs issue`) nor svid.pem, svid_key.pem and svid_bundle.pem (SPIFFE)", dir)
	}
	return layout{}, fmt.Errorf("identity: %s holds both %s and %s: remove the one that is not meant", dir, found[0].cert, found[1].cert)
}

// A material is the content of a directory, checked.
type material struct {
	cert     tls.Certificate
	roots    *x509.CertPool
	rootsSum [32]byte
	certFile string
	caFile   string
	sessions tls.ClientSessionCache // made with this certificate and these CAs
}

// readMaterial reads what can be used: a certificate, its key, and CAs one of
// which issued it.
func readMaterial(dir string, l layout) (*material, error) {
	m := &material{
		certFile: filepath.Join(dir, l.cert), caFile: filepath.Join(dir, l.ca),
		sessions: tls.NewLRUClientSessionCache(maxSessions),
	}
	certPEM, err := os.ReadFile(m.certFile)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	keyPEM, err := os.ReadFile(filepath.Join(dir, l.key))
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	if m.cert, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		return nil, fmt.Errorf("identity: %s with %s: %w", m.certFile, l.key, err)
	}
	caPEM, err := os.ReadFile(m.caFile)
	if err != nil {
		return nil, fmt.Errorf("identity: the CA certificates: %w", err)
	}
	if m.roots, err = parseCAs(m.caFile, caPEM); err != nil {
		return nil, err
	}
	m.rootsSum = sha256.Sum256(caPEM)
	return m, m.checkIssuer()
}

// checkIssuer finds a ca.crt that does not belong to the certificate beside it,
// which otherwise only the other side would tell, in every handshake.
func (m *material) checkIssuer() error {
	leaf := m.cert.Leaf
	// At a time of its own validity: whether it is valid now is another question.
	opts := x509.VerifyOptions{Roots: m.roots, Intermediates: x509.NewCertPool(), CurrentTime: leaf.NotAfter, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	for _, der := range m.cert.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			opts.Intermediates.AddCert(c)
		}
	}
	var unknown x509.UnknownAuthorityError
	if _, err := leaf.Verify(opts); errors.As(err, &unknown) {
		return fmt.Errorf("identity: %s: %s was issued by %q, which is no CA of %s beside it: the others of its zone would refuse it", m.certFile, describe(leaf), leaf.Issuer, m.caFile)
	}
	return nil
}

// parseCAs reads the content of a file of CA certificates.
func parseCAs(file string, rest []byte) (*x509.CertPool, error) {
	pool, n := x509.NewCertPool(), 0
	for {
		var p *pem.Block
		if p, rest = pem.Decode(rest); p == nil {
			break
		}
		if p.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(p.Bytes)
		if err != nil {
			return nil, fmt.Errorf("identity: %s: %w", file, err)
		}
		pool.AddCert(c)
		n++
	}
	if n == 0 {
		return nil, fmt.Errorf("identity: %s: no PEM block of type CERTIFICATE in it", file)
	}
	return pool, nil
}

// stamps is what tells that files have changed.
type stamps [3]fs.FileInfo

func stampsOf(dir string, l layout) (stamps, error) {
	var st stamps
	var err error
	for i, name := range [...]string{l.cert, l.key, l.ca} {
		if st[i], err = os.Stat(filepath.Join(dir, name)); err != nil {
			return st, fmt.Errorf("identity: %w", err)
		}
	}
	return st, nil
}

// same reports whether a and b are of the same files with the same content.
func (a stamps) same(b stamps) bool {
	for i := range a {
		if a[i] == nil || b[i] == nil || !os.SameFile(a[i], b[i]) || a[i].Size() != b[i].Size() || !a[i].ModTime().Equal(b[i].ModTime()) {
			return false
		}
	}
	return true
}
