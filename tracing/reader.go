package tracing

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/zonecache/cached/block"
)

// Reader returns next with a span for each of its reads that belong to a recorded call.
func (t *Tracer) Reader(tier block.Tier, next block.Reader) block.Reader {
	if t == nil {
		return next
	}
	return &reader{spans: t.spans, tier: tier, next: next}
}

// Store is Reader for what can be filled; that has no spans.
func (t *Tracer) Store(tier block.Tier, next block.Store) block.Store {
	if t == nil {
		return next
	}
	return struct {
		block.Reader
		block.Writer
	}{t.Reader(tier, next), next}
}

type reader struct {
	spans trace.Tracer
	tier  block.Tier
	next  block.Reader
}

// ReadBlock implements [block.Reader].
func (r *reader) ReadBlock(ctx context.Context, id block.ID) (block.Block, error) {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return r.next.ReadBlock(ctx, id)
	}
	ctx, span := r.spans.Start(ctx, r.tier.String(), trace.WithAttributes(
		attribute.String("cached.block", id.String()), attribute.String("cached.cause", block.CallFrom(ctx).Cause.String()),
	))
	defer span.End()
	b, err := r.next.ReadBlock(ctx, id)
	switch {
	case err == nil:
		span.SetAttributes(attribute.String("cached.outcome", "hit"), attribute.Int("cached.bytes", b.Len()))
	case errors.Is(err, block.ErrNotFound): // a miss is no fault
		span.SetAttributes(attribute.String("cached.outcome", "miss"))
	default:
		span.SetAttributes(attribute.String("cached.outcome", "error"))
		span.SetStatus(codes.Error, err.Error())
	}
	return b, err
}
