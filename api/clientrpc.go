package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
)

// A Client is what the daemon's own services are, from afar.
var (
	_ Images = (*Client)(nil)
	_ Admin  = (*Client)(nil)
)

// OpenImage begins a start in the image that the request names. Close the
// response's session when the start is over.
func (c *Client) OpenImage(ctx context.Context, req *cachedv1.OpenImageRequest) (*cachedv1.OpenImageResponse, error) {
	resp, err := c.images.OpenImage(ctx, req)
	return resp, c.explain(ctx, "open image "+req.GetImage(), err)
}

// CloseSession ends a session OpenImage began.
func (c *Client) CloseSession(ctx context.Context, session string) error {
	_, err := c.images.CloseSession(ctx, &cachedv1.CloseSessionRequest{SessionId: session})
	return c.explain(ctx, "close session", err)
}

// MarkReady says that the program of a session is ready.
func (c *Client) MarkReady(ctx context.Context, session string) error {
	_, err := c.images.MarkReady(ctx, &cachedv1.MarkReadyRequest{SessionId: session})
	return c.explain(ctx, "mark ready", err)
}

// ExpectBlocks returns the indexes of the blocks that a session's start is expected
// to read, in their order. It may take as long as the daemon looks for them.
func (c *Client) ExpectBlocks(ctx context.Context, session string) ([]uint32, error) {
	resp, err := c.images.ExpectBlocks(ctx, &cachedv1.ExpectBlocksRequest{SessionId: session})
	return resp.GetBlocks(), c.explain(ctx, "expect blocks", err)
}

// NoteTouches says which blocks of a session's image the program asked for that
// were read ahead, and returns whether the daemon wants to hear no more of it.
func (c *Client) NoteTouches(ctx context.Context, session string, blocks []uint32) (over bool, err error) {
	resp, err := c.images.NoteTouches(ctx, &cachedv1.NoteTouchesRequest{SessionId: session, Blocks: blocks})
	return resp.GetOver(), c.explain(ctx, "note touches", err)
}

// GetImage implements [Images].
func (c *Client) GetImage(ctx context.Context, image string) (*cachedv1.GetImageResponse, error) {
	resp, err := c.images.GetImage(ctx, &cachedv1.GetImageRequest{Image: image})
	return resp, c.explain(ctx, "get image "+image, err)
}

// ListImages implements [Images].
func (c *Client) ListImages(ctx context.Context) ([]*cachedv1.ImageEntry, error) {
	resp, err := c.images.ListImages(ctx, &cachedv1.ListImagesRequest{})
	return resp.GetImages(), c.explain(ctx, "list images", err)
}

// Ledger implements [Admin].
func (c *Client) Ledger(ctx context.Context) (*cachedv1.Ledger, error) {
	resp, err := c.admin.GetLedger(ctx, &cachedv1.GetLedgerRequest{})
	return resp.GetLedger(), c.explain(ctx, "get ledger", err)
}

// Status implements [Admin].
func (c *Client) Status(ctx context.Context) (*cachedv1.GetStatusResponse, error) {
	resp, err := c.admin.GetStatus(ctx, &cachedv1.GetStatusRequest{})
	return resp, c.explain(ctx, "get status", err)
}

// Explain implements [Admin].
func (c *Client) Explain(ctx context.Context, req *cachedv1.ExplainImageRequest) (*cachedv1.ExplainImageResponse, error) {
	resp, err := c.admin.ExplainImage(ctx, req)
	return resp, c.explain(ctx, "explain image "+req.GetImage(), err)
}

// explain turns what a Connect client returned into the errors of this package:
// what the daemon said, or why it could not be asked.
func (c *Client) explain(ctx context.Context, what string, err error) error {
	var wire *connect.Error
	var op *net.OpError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %s: %w", c.url, what, ctx.Err())
	case errors.As(err, &op) && op.Op == "dial":
		return fmt.Errorf("%s: %w", what, c.unreachable(op))
	case errors.As(err, &wire) && connect.IsWireError(err):
		seconds, _ := strconv.Atoi(wire.Meta().Get("Retry-After")) // absent: zero
		return &remoteError{c.url, wire.Message(), kindOfCode(wire.Code()), time.Duration(seconds) * time.Second}
	}
	if reason := tlsProblem(err); reason != "" {
		err = fmt.Errorf("%s: %w", reason, err)
	}
	return fmt.Errorf("%s: %s: %w: %w", c.url, what, block.ErrUnavailable, err)
}

// Alive returns nil when the daemon answers at all, ready or not.
func (c *Client) Alive(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+healthCheckPath, strings.NewReader("{}"))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.rpc.RoundTrip(req)
	if err != nil {
		return c.explain(ctx, "ask how it is", err)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxErrorBody)) // so that the connection can be used again
	return resp.Body.Close()
}

// healthCheckPath is that of grpc.health.v1.Health/Check, which needs no credentials.
const healthCheckPath = "/" + grpchealth.HealthV1ServiceName + "/Check"
