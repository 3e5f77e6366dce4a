package api

import (
	"context"

	"github.com/zonecache/cached/block"
)

var _ laneHandler = (*rawHandler)(nil)

// greet implements laneHandler.
func (h *rawHandler) greet(c *laneConn) error {
	state := c.peer()
	c.ctx = block.WithCall(c.ctx, block.Call{Via: block.ViaRaw}) // of reads that say no more, without a context of their own
	if h.guard != nil {
		c.ctx = withTLS(c.ctx, state)
	}
	if state != nil && len(state.PeerCertificates) > 0 {
		c.setTenure(newAgentTenure(h.limits.now(), h.limits.MaxAge))
	}
	return nil
}

// serve implements laneHandler.
func (h *rawHandler) serve(c *laneConn, req laneRequest) error {
	raw, err := parseRawQuery(req.query)
	if h.guard != nil {
		caller, authErr := h.guard.onLane(c, req.authorization)
		if authErr != nil {
			c.last = c.tls != nil // whoever has a new certificate shows it on a new connection
			return c.fail(authErr)
		}
		raw.call.Tenant = caller.Tenant
	}
	if err != nil {
		return c.fail(err)
	}
	if err := h.gate.enter(); err != nil {
		return c.fail(err)
	}
	defer h.gate.leave()
	c.enter(laneWaiting)
	b, err := h.readFor(c, raw, req)
	if err != nil {
		return c.fail(err)
	}
	defer b.Release()
	from, to, err := raw.part.within(b.Len())
	if err != nil {
		return c.fail(err)
	}
	return c.write(appendBlockHead(c.out[:0], c.lane.date(), b, to-from), b.Bytes()[from:to])
}

// readFor reads the block within the time the request allows, or until the
// peer is seen to be gone.
func (h *rawHandler) readFor(c *laneConn, raw rawRequest, req laneRequest) (block.Block, error) {
	ctx := c.ctx
	if raw.call != (block.Call{}) {
		raw.call.Via = block.ViaRaw
		ctx = block.WithCall(ctx, raw.call)
	}
	if req.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, req.timeout)
		defer cancel()
	}
	return traced(ctx, h.tracer, spanRead, req.parent.String(), h.reader, raw.id)
}
