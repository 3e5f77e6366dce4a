package identity

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// A Certificate is what a certificate says, for people.
type Certificate struct {
	File      string    `json:"file"`
	For       string    `json:"for"` // whom it is of
	Names     []string  `json:"names"`
	Issuer    string    `json:"issuer"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	CA        bool      `json:"ca"`
	Problem   string    `json:"problem,omitempty"` // why others would refuse it now
}

// Inspect reads the certificates in dir: the holder's own, unless dir is that of
// a CA, and then the CAs. Problems of the holder's are stated, not returned.
func Inspect(dir string, now time.Time) ([]Certificate, error) {
	l, err := findLayout(dir)
	if err != nil {
		cas, caErr := inspectFile(filepath.Join(dir, caCertFile), now)
		if caErr != nil {
			return nil, errors.Join(err, caErr)
		}
		return cas, nil
	}
	own, err := inspectFile(filepath.Join(dir, l.cert), now)
	if err != nil {
		return nil, err
	}
	if _, err := readMaterial(dir, l); err != nil && own[0].Problem == "" {
		own[0].Problem = err.Error()
	}
	cas, err := inspectFile(filepath.Join(dir, l.ca), now)
	if err != nil {
		return own, nil //nolint:nilerr // the material's problem says so
	}
	return append(own, cas...), nil
}

func inspectFile(file string, now time.Time) ([]Certificate, error) {
	rest, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	var all []Certificate
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
		all = append(all, inspect(file, c, now))
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("identity: %s: no PEM block of type CERTIFICATE in it", file)
	}
	return all, nil
}

func inspect(file string, c *x509.Certificate, now time.Time) Certificate {
	r := Certificate{File: file, For: c.Subject.String(), Names: []string{}, Issuer: c.Issuer.String(), NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(), CA: c.IsCA}
	for _, u := range c.URIs {
		r.Names = append(r.Names, u.String())
	}
	r.Names = append(r.Names, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		r.Names = append(r.Names, ip.String())
	}
	if all := subjectsOf(c); len(all) > 0 {
		r.For = all[0].String()
	}
	if err := checkDates(c, now); err != nil {
		r.Problem = err.Error()
	}
	return r
}
