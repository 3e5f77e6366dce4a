package origin

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// idleConns is how many connections to a store are kept for the next burst: a
// node that starts with an empty cache has hundreds of reads in flight.
const idleConns = 256

func newTransport(l location, t Timeouts) (*http.Transport, error) {
	tr := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: t.Dial, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: t.Dial,
		MaxIdleConns:        idleConns,
		MaxIdleConnsPerHost: idleConns,
		IdleConnTimeout:     20 * time.Second, // stores close idle connections themselves soon after
		DisableCompression:  true,             // the stored bytes, as they are
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if l.ca != "" {
		pem, err := os.ReadFile(l.ca)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, errors.New("ca: " + l.ca + " holds no certificate in PEM form")
		}
		tr.TLSClientConfig.RootCAs = roots
	}
	return tr, nil
}

// observed reports every request that goes out, with the bytes of content moved.
type observed struct {
	next    http.RoundTripper
	observe func(op string, bytes int64)
}

func (o *observed) RoundTrip(req *http.Request) (*http.Response, error) {
	op := opOf(req)
	resp, err := o.next.RoundTrip(req)
	switch {
	case err != nil || resp.StatusCode/100 != 2:
		o.observe(op, 0)
	case op == OpPut:
		o.observe(op, req.ContentLength)
	case op == OpGet:
		// The request is over when its body is.
		resp.Body = &countedBody{ReadCloser: resp.Body, done: func(n int64) { o.observe(op, n) }}
	default:
		o.observe(op, 0)
	}
	return resp, err
}

func opOf(req *http.Request) string {
	switch {
	case req.Method == http.MethodPut:
		return OpPut
	case req.Method == http.MethodDelete:
		return OpDelete
	case req.URL.RawQuery != "" && req.URL.Query().Has("list-type"):
		return OpList
	case req.Method == http.MethodHead || req.Header.Get("Range") == rangeOfOne:
		return OpHas
	}
	return OpGet
}

type countedBody struct {
	io.ReadCloser
	n    int64
	done func(n int64)
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	return n, err
}

func (b *countedBody) Close() error {
	if b.done != nil {
		b.done(b.n)
		b.done = nil
	}
	return b.ReadCloser.Close()
}
