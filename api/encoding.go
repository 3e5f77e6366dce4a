package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"

	"connectrpc.com/connect"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/api/cachedv1/cachedv1connect"
	"github.com/zonecache/cached/block"
)

// An Encoding is how a [Client] asks for blocks. All other calls are Connect's.
type Encoding uint8

// The encodings.
const (
	EncodingRaw     Encoding = iota // the raw encoding, into pooled memory: the fastest
	EncodingConnect                 // the Connect protocol over HTTP/1.1
	EncodingGRPC                    // gRPC over HTTP/2
)

var encodingNames = [...]string{EncodingRaw: "raw", EncodingConnect: "connect", EncodingGRPC: "grpc"}

// String returns "raw", "connect" or "grpc".
func (e Encoding) String() string {
	if int(e) < len(encodingNames) {
		return encodingNames[e]
	}
	return fmt.Sprintf("encoding(%d)", uint8(e))
}

// ParseEncoding reads what [Encoding.String] wrote.
func ParseEncoding(s string) (Encoding, error) {
	for e, name := range encodingNames {
		if s == name {
			return Encoding(e), nil
		}
	}
	return EncodingRaw, fmt.Errorf("encoding %.20q: want raw, connect or grpc", s)
}

// Encoding returns how c asks for blocks.
func (c *Client) Encoding() Encoding { return c.options.Encoding }

// messageFields is what a message may have beside a block's bytes.
const messageFields = 4 << 10

// readBlocksBy has c ask for blocks by messages. base is the daemon's URL.
func (c *Client) readBlocksBy(base string, e Encoding) {
	t := &http.Transport{
		DialContext: c.conns.dialer.DialContext, TLSClientConfig: c.conns.tls, TLSHandshakeTimeout: dialTimeout,
		DisableCompression: true, IdleConnTimeout: idleTimeout, MaxIdleConnsPerHost: c.options.MaxIdle,
	}
	opts := []connect.ClientOption{
		connect.WithAcceptCompression("gzip", nil, nil), connect.WithReadMaxBytes(block.MaxSize + messageFields), connect.WithInterceptors(bearer(c.options.Token)),
	}
	if e == EncodingGRPC {
		t.Protocols, t.HTTP2 = new(http.Protocols), TunedHTTP2()
		if c.conns.tls != nil {
			t.TLSClientConfig = c.conns.tls.Clone()
			t.TLSClientConfig.NextProtos = []string{"h2"}
			t.Protocols.SetHTTP2(true)
		} else {
			t.Protocols.SetUnencryptedHTTP2(true)
		}
		opts = append(opts, connect.WithGRPC())
	} else {
		t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{} // HTTP/1.1 only
	}
	c.blocksRPC = t
	c.blocks = cachedv1connect.NewBlockServiceClient(&http.Client{Transport: t, CheckRedirect: noRedirect}, base, opts...)
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// readMessage performs one read by messages.
func (c *Client) readMessage(ctx context.Context, req rawRequest) (*block.Buffer, block.Tier, error) {
	within, cancel := ctx, context.CancelFunc(func() {})
	if _, stated := ctx.Deadline(); !stated {
		within, cancel = context.WithTimeout(ctx, c.options.Timeout)
	}
	defer cancel()
	resp, err := c.blocks.ReadBlock(within, &cachedv1.ReadBlockRequest{
		Id: req.id.String(), Offset: req.part.offset, Length: req.part.length, Hops: uint32(req.call.Hops),
		Context: &cachedv1.CallContext{Image: req.call.Image, Workload: req.call.Workload, Tenant: req.call.Tenant, Cause: CauseToProto(req.call.Cause)},
	})
	if err != nil {
		return nil, 0, c.explain(ctx, "read "+req.id.Short(), err)
	}
	content, tier := resp.GetContent(), TierFromProto(resp.GetTier())
	if want := req.part.length; want != 0 && uint64(len(content)) != want {
		return nil, 0, fmt.Errorf("%s: read %s: %w: the response has %d bytes, asked for %d", c.url, req.id, block.ErrUnavailable, len(content), want)
	}
	if tier == block.Unknown {
		return nil, 0, fmt.Errorf("%s: read %s: %w: the response names no tier: is this a cached daemon?", c.url, req.id, block.ErrUnavailable)
	}
	buf := c.options.Pool.Get(len(content))
	copy(buf.Bytes(), content)
	return buf, tier, nil
}

// ErrorCode names the kind of a failure as the wire does: "unavailable",
// "not_found", "resource_exhausted" and so on. It is for counting them.
func ErrorCode(err error) string {
	var e *remoteError
	if errors.As(err, &e) {
		return e.kind.code.String()
	}
	return kindOf(err).code.String()
}
