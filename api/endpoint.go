package api

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"path"
)

// An endpoint is where a daemon listens: what its users call it, what is dialed,
// and under which URL HTTP knows it.
type endpoint struct {
	name    string
	network string // "tcp" or "unix"
	address string
	http    *url.URL // scheme and host only
}

// parseEndpoint reads "http://host:port", "https://host:port" or "unix:///path".
// What is said over a Unix socket is plain HTTP.
func parseEndpoint(text string) (endpoint, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.RawQuery != "" || u.Fragment != "" || u.User != nil || u.Opaque != "":
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && (u.Path == "" || u.Path == "/"):
		base := &url.URL{Scheme: u.Scheme, Host: u.Host}
		return endpoint{name: base.String(), network: "tcp", address: net.JoinHostPort(u.Hostname(), portOf(u)), http: base}, nil
	case u.Scheme == "unix" && u.Host == "" && path.IsAbs(u.Path) && path.Clean(u.Path) != "/":
		return endpoint{name: "unix://" + u.Path, network: "unix", address: u.Path, http: &url.URL{Scheme: "http", Host: "localhost"}}, nil
	}
	return endpoint{}, fmt.Errorf("server %q: want http://host:port, https://host:port or unix:///path, as in %s", text, DefaultURL)
}

// dialIt dials the endpoint, whatever HTTP takes its address for.
func (e endpoint) dialIt(d *net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, e.network, e.address)
	}
}
