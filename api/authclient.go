package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"connectrpc.com/connect"
)

// dialTimeout is the longest a connection, and then its handshake, may take.
const dialTimeout = 10 * time.Second

// authorization returns the header fields that say who the client is.
func (o ClientOptions) authorization(u *url.URL) (string, error) {
	if o.Token == "" {
		return "", nil
	}
	for _, c := range o.Token {
		if c <= ' ' || c >= 0x7f {
			return "", errors.New("the token has characters that no token has: is its file the right one?")
		}
	}
	if u.Scheme == "http" && o.Exposed != TokenExposed && !onThisHost(u.Hostname()) {
		return "", fmt.Errorf("server %s: a token would travel to another host in plain text: use https://", u)
	}
	return "\r\nAuthorization: Bearer " + o.Token, nil
}

func onThisHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// A bearer adds the token to calls by Connect; "": none.
type bearer string

var _ connect.Interceptor = bearer("")

func (b bearer) add(h http.Header) {
	if b != "" {
		h.Set("Authorization", "Bearer "+string(b))
	}
}

// WrapUnary implements [connect.Interceptor].
func (b bearer) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		b.add(req.Header())
		return next(ctx, req)
	}
}

// WrapStreamingClient implements [connect.Interceptor].
func (b bearer) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		b.add(conn.RequestHeader())
		return conn
	}
}

// WrapStreamingHandler implements [connect.Interceptor].
func (b bearer) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// clientTLS returns the settings of connections to u; nil: plain text.
func clientTLS(u *url.URL, given *tls.Config) *tls.Config {
	if u.Scheme != "https" {
		return nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS13}
	if given != nil {
		c = given.Clone()
	}
	c.NextProtos = []string{"http/1.1"}
	if c.ServerName == "" {
		c.ServerName = u.Hostname()
	}
	if c.ClientSessionCache == nil {
		c.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	return c
}

// shakeHands makes a TLS connection of a plain one, which it closes otherwise.
func shakeHands(ctx context.Context, plain net.Conn, config *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c := tls.Client(plain, config)
	if err := c.HandshakeContext(ctx); err != nil {
		plain.Close()
		return nil, err
	}
	return c, nil
}

const refusedHere = "the daemon refused this client's certificate, or that there is none; its log says why"

// tlsProblem says what an error of a connection means when TLS is the matter.
func tlsProblem(err error) string {
	var op *net.OpError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "the answer is not TLS: does the daemon speak plain http:// here?"
	case errors.As(err, &op) && op.Op == "remote error":
		return refusedHere
	case strings.Contains(err.Error(), "remote error: tls: "): // of net/http, which hides the kind
		return refusedHere
	}
	return ""
}
