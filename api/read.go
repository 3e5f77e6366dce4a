package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"

	"connectrpc.com/connect"

	"github.com/zonecache/cached/block"
)

// maxErrorBody bounds the JSON of an error.
const maxErrorBody = 64 << 10

// ReadBlock implements [block.Reader]. The block's From says which of the
// daemon's tiers served it.
func (c *Client) ReadBlock(ctx context.Context, id block.ID) (block.Block, error) {
	buf, tier, err := c.read(ctx, rawRequest{id: id, call: block.CallFrom(ctx)})
	if err != nil {
		return block.Block{}, err
	}
	if c.options.Verify == VerifyHere {
		if got := block.Sum(buf.Bytes()); got != id {
			n := len(buf.Bytes())
			buf.Release()
			return block.Block{}, fmt.Errorf("%s: read %s: got %d bytes whose digest is %s: %w", c.url, id, n, got, block.ErrCorrupt)
		}
	}
	return buf.Seal(id, tier), nil
}

// ReadRange reads length bytes (0: all to the end) of a block from offset on.
// The caller releases the buffer. The bytes cannot be verified, because a
// digest covers the whole block. A range that leaves the block is ErrInvalid.
func (c *Client) ReadRange(ctx context.Context, id block.ID, offset, length uint64) (*block.Buffer, block.Tier, error) {
	return c.read(ctx, rawRequest{id: id, part: span{offset, length}, call: block.CallFrom(ctx)})
}

// read performs one read, once more when an idle connection turns out to be closed.
func (c *Client) read(ctx context.Context, req rawRequest) (*block.Buffer, block.Tier, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, fmt.Errorf("%s: read %s: %w", c.url, req.id, err)
	}
	if c.blocks != nil {
		return c.readMessage(ctx, req)
	}
	for {
		conn := c.conns.take()
		idle := conn != nil
		if !idle {
			var err error
			if conn, err = c.conns.dial(ctx); err != nil {
				if ctx.Err() != nil {
					return nil, 0, fmt.Errorf("%s: read %s: %w", c.url, req.id, ctx.Err())
				}
				return nil, 0, fmt.Errorf("read %s: %w", req.id.Short(), c.unreachable(err))
			}
		}
		buf, tier, err := c.readOn(ctx, conn, req)
		if idle && errors.Is(err, errNoResponse) && !errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
			continue // every turn uses up one idle connection
		}
		if idle && errors.Is(err, ErrUnauthenticated) && c.conns.tls != nil {
			continue // the certificate of then may have expired, and the server closes these connections
		}
		return buf, tier, err
	}
}

// readOn performs one raw read on conn and puts it back, or closes it.
func (c *Client) readOn(ctx context.Context, conn *rawConn, req rawRequest) (*block.Buffer, block.Tier, error) {
	deadline, stated := ctx.Deadline()
	if own := time.Now().Add(c.options.Timeout); !stated {
		deadline = own
	}
	_ = conn.net.SetDeadline(deadline) // fails on a broken connection only, which the exchange finds
	stop := func() bool { return true }
	if ctx.Done() != nil {
		stop = context.AfterFunc(ctx, func() { _ = conn.net.SetDeadline(time.Unix(1, 0)) })
	}
	var timeout time.Duration
	if stated {
		timeout = max(time.Until(deadline), time.Millisecond)
	}
	conn.out = c.appendRequest(conn.out[:0], req, timeout)
	got, err := c.exchange(conn, req)
	// Once the context has ended its function may still be about to set a
	// deadline, which must not meet the connection's next request.
	if stop() && got.again {
		c.conns.put(conn)
	} else {
		conn.net.Close()
	}
	if err == nil {
		return got.buf, got.tier, nil
	}
	if cause := ctx.Err(); cause != nil {
		err = cause
	} else if stated && !time.Now().Before(deadline) {
		err = context.DeadlineExceeded // the connection's clock was first
	}
	var remote *remoteError
	switch {
	case errors.As(err, &remote):
		return nil, 0, err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nil, 0, fmt.Errorf("%s: read %s: %w", c.url, req.id, err)
	}
	if reason := tlsProblem(err); reason != "" {
		err = fmt.Errorf("%s: %w", reason, err)
	}
	return nil, 0, fmt.Errorf("%s: read %s: %w: %w", c.url, req.id, block.ErrUnavailable, err)
}

// appendRequest writes the request's head; a timeout of zero is not stated.
func (c *Client) appendRequest(p []byte, req rawRequest, timeout time.Duration) []byte {
	p = append(p, "GET "+readBlockPath+"?"...)
	p = appendRawQuery(p, req)
	p = append(append(p, " HTTP/1.1\r\nHost: "...), c.host...)
	p = append(p, c.auth...)
	if timeout > 0 {
		p = append(p, "\r\n"+timeoutHeader+": "...)
		p = strconv.AppendInt(p, min(timeout, maxTimeout).Milliseconds(), 10)
	}
	return append(p, "\r\n\r\n"...)
}

// An exchanged is what came of one exchange on a connection.
type exchanged struct {
	buf   *block.Buffer // nil after an error
	tier  block.Tier
	again bool // the connection can carry another request
}

// exchange sends conn's request and reads the response.
func (c *Client) exchange(conn *rawConn, req rawRequest) (exchanged, error) {
	resp, err := conn.roundTrip()
	if err != nil {
		return exchanged{}, err
	}
	if resp.chunked {
		return exchanged{}, errors.New("the response has no stated length: is this a cached daemon?")
	}
	if resp.status != http.StatusOK {
		return c.exchangeError(conn, resp)
	}
	if resp.length < 0 || resp.length > block.MaxSize {
		return exchanged{}, fmt.Errorf("the response states a length of %d bytes: a block has at most %d", resp.length, block.MaxSize)
	}
	if want := req.part.length; want != 0 && uint64(resp.length) != want {
		return exchanged{}, fmt.Errorf("the response has %d bytes, asked for %d", resp.length, want)
	}
	tier, err := block.ParseTier(resp.tier)
	if err != nil {
		return exchanged{}, fmt.Errorf("the response's %s: %w: is this a cached daemon?", tierHeader, err)
	}
	buf := c.options.Pool.Get(int(resp.length))
	if err := conn.readBody(buf.Bytes()); err != nil {
		buf.Release()
		return exchanged{}, fmt.Errorf("the response of %d bytes broke off: %w", resp.length, err)
	}
	return exchanged{buf, tier, conn.clean() && !resp.closing}, nil
}

// exchangeError reads the error a response carries.
func (c *Client) exchangeError(conn *rawConn, resp rawResponse) (exchanged, error) {
	if resp.length < 0 || resp.length > maxErrorBody {
		return exchanged{}, c.remote(resp, nil)
	}
	body := make([]byte, resp.length)
	if err := conn.readBody(body); err != nil {
		return exchanged{}, err
	}
	return exchanged{again: conn.clean() && !resp.closing}, c.remote(resp, body)
}

// An errorBody is the Connect protocol's JSON of an error.
type errorBody struct {
	Code    connect.Code `json:"code"`
	Message string       `json:"message"`
}

// remote makes the error a response stands for. Only the daemon's own JSON can
// say NOT_FOUND: a 404 of some other server says nothing about a block.
func (c *Client) remote(resp rawResponse, body []byte) error {
	e := &remoteError{server: c.url, retryAfter: resp.retryAfter}
	var parsed errorBody
	if json.Unmarshal(body, &parsed) == nil && parsed.Code != 0 {
		e.kind, e.message = kindOfCode(parsed.Code), parsed.Message
		return e
	}
	e.kind = kindOfCode(connect.CodeUnavailable)
	if resp.status == http.StatusTooManyRequests {
		e.kind = kindOfCode(connect.CodeResourceExhausted)
	}
	e.message = fmt.Sprintf("answered HTTP status %d without saying why: is this a cached daemon?", resp.status)
	return e
}
