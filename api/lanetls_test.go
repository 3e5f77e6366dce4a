package api

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/zonecache/cached/block/blocktest"
)

// A testCA issues certificates to the nodes of a test's zone.
type testCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newTestCA(tb testing.TB) *testCA {
	tb.Helper()
	ca := &testCA{pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test zone"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	ca.cert, ca.key = issue(tb, template, nil)
	ca.pool.AddCert(ca.cert)
	return ca
}

func issue(tb testing.TB, template *x509.Certificate, by *testCA) (*x509.Certificate, *ecdsa.PrivateKey) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return cert, key
}

// node returns a certificate of this name that is valid until notAfter.
func (ca *testCA) node(tb testing.TB, name string, notAfter time.Time) tls.Certificate {
	tb.Helper()
	cert, key := issue(tb, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name},
		URIs:      []*url.URL{{Scheme: "spiffe", Host: "test", Path: "/node/" + name}},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, ca)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// config is of a server or client that wants a certificate of ca from its peer.
func (ca *testCA) config(tb testing.TB, name string) *tls.Config {
	tb.Helper()
	return &tls.Config{
		Certificates: []tls.Certificate{ca.node(tb, name, time.Now().Add(time.Hour))},
		ClientCAs:    ca.pool, RootCAs: ca.pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
	}
}

func dialTLS(tb testing.TB, address string, config *tls.Config) *tls.Conn {
	tb.Helper()
	c := tls.Client(dial(tb, address), config)
	tb.Cleanup(func() { c.Close() })
	return c
}

// The lane serves raw reads over TLS, net/http the rest, and both see who asks.
func TestLaneOverTLS(t *testing.T) {
	b := blocktest.Block(1, 300_000)
	defer b.Release()
	ca := newTestCA(t)
	address := serveWith(t, NewHandler(Services{Blocks: inMemory(b)}, Options{}), ServerOptions{TLS: ca.config(t, "server")})
	client := ca.config(t, "client")
	client.ServerName = "server"
	raw := "GET " + readBlockPath + "?encoding=raw&id=" + b.ID().String() + " HTTP/1.1\r\nHost: x\r\n\r\n"
	alias := "GET " + blocksPath + b.ID().String() + " HTTP/1.1\r\nHost: x\r\n\r\n"
	c := dialTLS(t, address, client)
	if _, err := io.WriteString(c, raw+raw+alias+raw); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	for i := range 4 {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("response %d: %v", i, err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || !bytes.Equal(body, b.Bytes()) {
			t.Fatalf("response %d: %s, %d bytes, %v", i, resp.Status, len(body), err)
		}
	}
	for name, config := range map[string]*tls.Config{
		"no certificate":      {RootCAs: ca.pool, ServerName: "server"},
		"another CA's":        {RootCAs: ca.pool, ServerName: "server", Certificates: newTestCA(t).config(t, "client").Certificates},
		"expired":             {RootCAs: ca.pool, ServerName: "server", Certificates: []tls.Certificate{ca.node(t, "client", time.Now().Add(-time.Hour))}},
		"an old TLS version":  {RootCAs: ca.pool, ServerName: "server", Certificates: client.Certificates, MaxVersion: tls.VersionTLS12},
		"certificate of none": {RootCAs: ca.pool, ServerName: "server", Certificates: []tls.Certificate{{}}},
	} {
		c := dialTLS(t, address, config)
		io.WriteString(c, raw)
		if n, err := io.Copy(io.Discard, c); n > 0 || err == nil {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
	}
	plain := dial(t, address)
	io.WriteString(plain, raw)
	if got, _ := io.ReadAll(plain); bytes.Contains(got, []byte("200 OK")) {
		t.Errorf("plain text: %q", got)
	}
}

// A peer that leaves with TLS's farewell is noticed though nobody reads it.
func TestDisconnectOverTLSCancelsTheRead(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	reader := newBlocking(b)
	ca := newTestCA(t)
	address := serveWith(t, NewHandler(Services{Blocks: reader}, Options{}), ServerOptions{TLS: ca.config(t, "server")})
	client := ca.config(t, "client")
	client.ServerName = "server"
	c := dialTLS(t, address, client)
	fmt.Fprintf(c, "GET %s?encoding=raw&id=%s HTTP/1.1\r\nHost: x\r\n\r\n", readBlockPath, b.ID())
	<-reader.started
	c.Close()
	if err := <-reader.ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// serveWith runs a Server until the test ends and returns its address.
func serveWith(tb testing.TB, h *Handler, options ServerOptions) string {
	tb.Helper()
	l := listen(tb)
	s := NewServer(h, options)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(s.Shutdown(ctx), <-done); err != nil {
			tb.Error(err)
		}
	})
	return l.Addr().String()
}
