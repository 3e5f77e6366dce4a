package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// interimGap is how often an asker that must wait is told so.
const interimGap = 100 * time.Millisecond

// A peerLane answers the asks of other nodes.
type peerLane struct {
	blocks   PeerBlocks
	zone     string
	identify func(c *laneConn) (string, error)
	maxAge   time.Duration // of connections with TLS
	now      func() time.Time
	gate     *gate
	tracer   Tracer // nil: nobody traces
}

var _ laneHandler = (*peerLane)(nil)

// greet implements laneHandler.
func (h *peerLane) greet(c *laneConn) error {
	c.queued = c.tellQueued
	if c.tls == nil {
		return nil
	}
	if shown := c.peer().PeerCertificates; len(shown) > 0 {
		c.setTenure(newTenure(shown[0], h.now(), h.maxAge))
	}
	if h.identify == nil {
		return nil
	}
	node, err := h.identify(c)
	if err == nil && node == "" {
		err = errors.New("the certificate names no node")
	}
	if err != nil {
		c.lane.refuse(RefusedIdentity, "a peer was refused", "peer", c.raw.RemoteAddr().String(), "error", err)
		return err
	}
	c.node = node
	return nil
}

// serve implements laneHandler.
func (h *peerLane) serve(c *laneConn, req laneRequest) error {
	r, err := parsePeerQuery(req.query)
	if err != nil {
		return c.fail(err)
	}
	if c.node != "" {
		r.ask.Reader = c.node // whatever it calls itself
	}
	if r.zone != "" && h.zone != "" && r.zone != h.zone {
		c.lane.refuse(RefusedZone, "a node of another zone asked for a block",
			"peer", c.raw.RemoteAddr().String(), "node", r.ask.Reader, "zone", r.zone, "own_zone", h.zone)
		return c.fail(fmt.Errorf("zone %q is not %q, which this node serves: %w", r.zone, h.zone, block.ErrDenied))
	}
	if err := h.gate.enter(); err != nil {
		c.lane.refuse(RefusedOverload, "an ask was refused: too many are in progress",
			"peer", c.raw.RemoteAddr().String(), "node", r.ask.Reader, "limit", h.gate.limit)
		return c.fail(err)
	}
	defer h.gate.leave()
	ctx := c.ctx
	if r.call != (block.Call{}) {
		ctx = block.WithCall(ctx, r.call)
	}
	if req.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, req.timeout)
		defer cancel()
	}
	c.enter(laneWaiting)
	if h.tracer == nil || req.parent == (traceParent{}) {
		return h.answer(ctx, c, r)
	}
	ctx, end := h.tracer.Begin(ctx, spanAnswer, req.parent.String(), r.ask.Reader)
	err = h.answer(ctx, c, r)
	end(err)
	return err
}

// answer answers one ask. The error is the connection's.
func (h *peerLane) answer(ctx context.Context, c *laneConn, r peerRequest) error {
	a, err := h.blocks.AnswerPeer(ctx, r.id, r.ask, c.queued)
	if err != nil {
		return c.fail(err)
	}
	if a.Verdict != placement.Serve || a.Source == nil {
		if a.Done != nil {
			a.Done(0, nil)
		}
		if err := checkField("name", a.To); err != nil { // before it becomes a line of the head
			return c.fail(fmt.Errorf("answer to %s: %w", r.ask.Reader, errors.Join(errInternal, err)))
		}
		return c.write(appendVerdictHead(c.out[:0], c.lane.date(), a.Reply), nil)
	}
	s := stream{c: c, answer: a, offset: r.ask.Offset}
	defer func() { s.done(recover()) }()
	return s.run(ctx)
}

// A stream sends a block as it arrives.
type stream struct {
	c      *laneConn
	answer PeerAnswer
	offset int // in the block, of the first byte to send
	sent   int
	err    error
}

// run sends the bytes. The error is the connection's: what cannot be completed
// is cut off, so that nobody takes it for the whole.
func (s *stream) run(ctx context.Context) error {
	p, err := s.first(ctx)
	if err != nil {
		s.err = err
		return s.c.fail(err)
	}
	if s.c.expired() { // while the asker waited
		s.err = fmt.Errorf("the certificate of this connection has expired: %w", block.ErrUnauthenticated)
		return s.c.fail(s.err)
	}
	size := s.answer.Source.Size()
	n := size - s.offset
	if s.err = s.c.write(appendPeerHead(s.c.out[:0], s.c.lane.date(), s.answer, size, n), p); s.err != nil {
		return s.err
	}
	for s.sent = len(p); s.sent < n; s.sent += len(p) {
		s.c.enter(laneWaiting)
		if p, s.err = s.answer.Source.Next(ctx, s.offset+s.sent); s.err != nil {
			return s.err
		}
		if s.err = s.c.writeMore(p); s.err != nil {
			return s.err
		}
	}
	return nil
}

// first waits for the first bytes and tells the asker so.
func (s *stream) first(ctx context.Context) ([]byte, error) {
	src := s.answer.Source
	if size := src.Size(); size >= 0 && s.offset > size {
		return nil, invalid("offset %d lies past the block, which has %d bytes", s.offset, size)
	}
	for !src.Readable(s.offset) {
		wait, cancel := context.WithTimeout(ctx, interimGap)
		p, err := src.Next(wait, s.offset)
		cancel()
		if err == nil || wait.Err() == nil || ctx.Err() != nil {
			return p, err
		}
		if err := s.c.queued(); err != nil {
			return nil, err
		}
	}
	return src.Next(ctx, s.offset)
}

// done tells the answering side what became of the bytes.
func (s *stream) done(panicked any) {
	if panicked != nil {
		s.err = errors.Join(errInternal, s.err)
	}
	if s.answer.Done != nil {
		s.answer.Done(s.sent, s.err)
	}
	if panicked != nil {
		panic(panicked)
	}
}

// tellQueued tells a peer that its ask waits, and reports whether it has gone.
func (c *laneConn) tellQueued() error {
	if err := c.ctx.Err(); err != nil {
		return fmt.Errorf("the asker has gone: %w", err)
	}
	c.enter(laneWriting)
	_, err := c.net.Write(interim)
	c.enter(laneWaiting)
	if err != nil {
		c.cancel()
		return fmt.Errorf("the asker has gone: %w: %w", context.Canceled, err)
	}
	return nil
}
