package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"connectrpc.com/connect"

	"github.com/zonecache/cached/api/cachedv1/cachedv1connect"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// A peerRPC calls PeerService on other nodes. It is safe for concurrent use.
type peerRPC struct {
	options PeerClientOptions
	http    *http.Client
}

func newPeerRPC(options PeerClientOptions) *peerRPC {
	t := &peerRPC{options: options.withDefaults()}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	t.http = &http.Client{
		Transport: &http.Transport{
			DialContext:            t.dial,
			Protocols:              &protocols,
			DisableCompression:     true,
			MaxIdleConns:           256,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        t.options.IdleTimeout,
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("a node does not redirect") },
	}
	return t
}

// Close closes the idle connections.
func (t *peerRPC) Close() error {
	t.http.CloseIdleConnections()
	return nil
}

type memberKey struct{}

// client asks a node at its address: connections belong to both, since a node
// that comes back elsewhere is not the one that may still answer at the former
// address. dial finds the node in the context.
func (t *peerRPC) client(to placement.Member) cachedv1connect.PeerServiceClient {
	return cachedv1connect.NewPeerServiceClient(t.http, fmt.Sprintf("http://node-%x.at-%x", to.Name, to.Address), // a name need not be a host's
		connect.WithAcceptCompression("gzip", nil, nil), connect.WithReadMaxBytes(maxPeerMessage))
}

func (t *peerRPC) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	to, ok := ctx.Value(memberKey{}).(placement.Member)
	if !ok {
		return nil, errors.New("api: a request to no node")
	}
	conn, _, err := t.options.dial(ctx, to, t.options.config(to, nil), func(raw net.Conn) net.Conn { return raw })
	return conn, err
}

// explain turns what a Connect client returned into the errors of this package.
func (t *peerRPC) explain(ctx context.Context, to placement.Member, what string, err error) error {
	var wire *connect.Error
	name := fmt.Sprintf("peer %s (%s)", to.Name, to.Address)
	switch {
	case err == nil:
		return nil
	case errors.Is(context.Cause(ctx), placement.ErrStalled):
		return fmt.Errorf("%s: %s: %w: %w", name, what, placement.ErrStalled, block.ErrUnavailable)
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %s: %w", name, what, ctx.Err())
	case errors.As(err, &wire) && connect.IsWireError(err):
		return &remoteError{server: name, message: what + ": " + wire.Message(), kind: kindOfCode(wire.Code())}
	}
	return fmt.Errorf("%s: %s: %w: %w", name, what, block.ErrUnavailable, err)
}
