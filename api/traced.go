package api

import (
	"context"

	"connectrpc.com/connect"

	"github.com/zonecache/cached/block"
)

// A Tracer records where the time of calls goes. What connect-go serves it records by
// its interceptor, the rest by Begin.
type Tracer interface {
	Interceptor() connect.Interceptor
	// Begin begins a span below parent, a W3C traceparent, or where that is "" below
	// ctx's span. node is the other node of the zone, if any. end ends it, with what
	// became of the call.
	Begin(ctx context.Context, name, parent, node string) (_ context.Context, end func(error))
	// Parent returns the traceparent of ctx's span; "" when it has none.
	Parent(ctx context.Context) string
}

// The names of spans beside connect-go's, which are those of procedures.
const (
	spanRead   = "cached.v1.BlockService/ReadBlock" // as connect-go calls it
	spanBlocks = "GET /blocks"
	spanAsk    = "peer.ask"    // of another node
	spanAnswer = "peer.answer" // to one
)

// parentHeader is the field of W3C Trace Context.
const parentHeader = "Traceparent"

// A traceParent is the value of that field in its version 00, the only one there is.
// All zero is none. It is no string, so that reading one costs nothing where nobody
// traces.
type traceParent [55]byte

func parseTraceParent(p []byte) (t traceParent) {
	if len(p) == len(t) {
		copy(t[:], p)
	}
	return t
}

func (t traceParent) String() string {
	if t == (traceParent{}) {
		return ""
	}
	return string(t[:])
}

// traced reads a block within a span of its own; with a nil Tracer just so.
func traced(ctx context.Context, t Tracer, name, parent string, r block.Reader, id block.ID) (block.Block, error) {
	if t == nil {
		return r.ReadBlock(ctx, id)
	}
	ctx, end := t.Begin(ctx, name, parent, "")
	b, err := r.ReadBlock(ctx, id)
	end(err)
	return b, err
}
