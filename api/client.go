package api

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"github.com/zonecache/cached/api/cachedv1/cachedv1connect"
	"github.com/zonecache/cached/block"
)

// DefaultURL is where a daemon listens unless told otherwise.
const DefaultURL = "http://127.0.0.1:7070"

// A Verification says who checks that the bytes received are the block.
type Verification uint8

// The verifications.
const (
	VerifyHere  Verification = iota // the client, before it returns the block
	VerifyAbove                     // the caller, for whom the Verify combinator does it
)

// ClientOptions are a Client's; the zero value is sensible.
type ClientOptions struct {
	Pool     *block.Pool   // memory for what is read; nil: block.DefaultPool
	Verify   Verification  // who checks digests
	Encoding Encoding      // how blocks are asked for
	Timeout  time.Duration // longest a block read may take when its context does not say; 0: one minute
	MaxIdle  int           // connections kept for later; 0: 64
	TLS      *tls.Config   // for an https URL; nil: the system's CAs and no certificate
	Token    string        // bearer token that says who the client is; empty: none
	Exposed  Exposure      // whether the token may be sent in plain text to another host
}

// An Exposure says how a token may travel.
type Exposure uint8

// The exposures.
const (
	TokenSafe    Exposure = iota // encrypted, or within this host
	TokenExposed                 // in plain text to other hosts too, for networks that encrypt by themselves
)

// A Client reaches one daemon. It is safe for concurrent use and opens a
// connection for each read in progress, keeping the latest for later ones.
type Client struct {
	url     string // what users call the daemon
	base    string // of HTTP requests
	host    string
	options ClientOptions
	auth    string // header fields that say who the client is
	conns   connPool

	rpc    *http.Transport
	images cachedv1connect.ImageServiceClient
	admin  cachedv1connect.AdminServiceClient

	blocksRPC *http.Transport                    // nil: blocks are read by the raw encoding
	blocks    cachedv1connect.BlockServiceClient // with blocksRPC
}

var _ block.Reader = (*Client)(nil)

// NewClient returns a client of the daemon at rawURL: "http://host:port",
// "https://host:port", or "unix:///path" of a socket. It does not connect yet.
func NewClient(rawURL string, options ClientOptions) (*Client, error) {
	e, err := parseEndpoint(rawURL)
	if err != nil {
		return nil, err
	}
	auth, err := options.authorization(e.http)
	if err != nil {
		return nil, err
	}
	if options.Pool == nil {
		options.Pool = block.DefaultPool
	}
	if options.Timeout <= 0 {
		options.Timeout = time.Minute
	}
	if options.MaxIdle <= 0 {
		options.MaxIdle = 64
	}
	base := e.http.String()
	c := &Client{url: e.name, base: base, host: e.http.Host, options: options, auth: auth}
	c.conns = connPool{network: e.network, address: e.address, tls: clientTLS(e.http, options.TLS), maxIdle: options.MaxIdle}
	c.conns.dialer.Timeout = dialTimeout
	c.rpc = &http.Transport{
		DialContext:         e.dialIt(&c.conns.dialer),
		TLSClientConfig:     c.conns.tls,
		TLSHandshakeTimeout: dialTimeout,
		DisableCompression:  true,
		IdleConnTimeout:     idleTimeout,
		TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
	hc := &http.Client{Transport: c.rpc, CheckRedirect: noRedirect}
	opts := connect.WithClientOptions(connect.WithAcceptCompression("gzip", nil, nil), connect.WithReadMaxBytes(maxReply), connect.WithInterceptors(bearer(c.options.Token)))
	c.images = cachedv1connect.NewImageServiceClient(hc, base, opts)
	c.admin = cachedv1connect.NewAdminServiceClient(hc, base, opts)
	if options.Encoding != EncodingRaw {
		c.readBlocksBy(base, options.Encoding)
	}
	return c, nil
}

// maxReply bounds the replies of the other procedures: a manifest of a million
// blocks takes 50 MB.
const maxReply = 256 << 20

// URL returns the daemon's address as [NewClient] takes it.
func (c *Client) URL() string { return c.url }

// Close closes the idle connections. Reads in progress end normally.
func (c *Client) Close() error {
	c.conns.close()
	c.rpc.CloseIdleConnections()
	if c.blocksRPC != nil {
		c.blocksRPC.CloseIdleConnections()
	}
	return nil
}

// unreachable describes a connection that could not be made.
func (c *Client) unreachable(err error) error {
	if reason := tlsProblem(err); reason != "" {
		return &unreachableError{fmt.Errorf("%s: %s: %w", c.url, reason, err)}
	}
	return &unreachableError{fmt.Errorf("no daemon answers at %s (is `cached serve` running?): %w", c.url, err)}
}

// An unreachableError matches block.ErrUnavailable and what the network said.
type unreachableError struct{ error }

func (e *unreachableError) Unwrap() []error {
	return []error{block.ErrUnavailable, errors.Unwrap(e.error)}
}
