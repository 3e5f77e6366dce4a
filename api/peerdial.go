package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/zonecache/cached/placement"
)

// dial makes a connection to a node: conn is what to speak on, raw what lies
// under TLS, or the same. config may be nil: plain text. under may put something
// between the two.
func (o PeerClientOptions) dial(ctx context.Context, to placement.Member, config *tls.Config, under func(net.Conn) net.Conn) (conn, raw net.Conn, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.DialTimeout, errors.New("no connection stood in time"))
	defer cancel()
	var dialer net.Dialer
	if raw, err = dialer.DialContext(ctx, "tcp", to.Address); err != nil {
		return nil, nil, fmt.Errorf("connect: %w", err)
	}
	if config == nil {
		return raw, raw, nil
	}
	t := tls.Client(under(raw), config)
	if err := t.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, nil, fmt.Errorf("TLS: %w", err)
	}
	return t, raw, nil
}

// config returns the TLS settings of a new connection to a node, nil for plain
// text. sessions are used unless the settings have their own.
func (o PeerClientOptions) config(to placement.Member, sessions tls.ClientSessionCache) *tls.Config {
	if o.TLS == nil {
		return nil
	}
	config := o.TLS(to)
	if config == nil {
		return nil
	}
	config = config.Clone()
	config.NextProtos = []string{"http/1.1"}
	if config.ClientSessionCache == nil {
		config.ClientSessionCache = sessions
	}
	return config
}
