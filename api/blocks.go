package api

import (
	"context"
	"log/slog"
	"net/http"

	"connectrpc.com/connect"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/api/cachedv1/cachedv1connect"
	"github.com/zonecache/cached/block"
)

// A blockService serves ReadBlock in proto and JSON.
type blockService struct {
	reader block.Reader
	gate   *gate
	tracer Tracer // nil: nobody traces
	log    *slog.Logger
}

var _ cachedv1connect.BlockServiceHandler = (*blockService)(nil)

// A lease keeps what one call holds until its response is written.
//
// A response's content is the block's own buffer, because connect-go marshals
// after the method has returned: a copy made there would be the second one.
// Marshalling copies the bytes out, and the HTTP handler returns after that, so
// releasing behind it is early enough; nothing of the message outlives it.
// The lease travels in the context since connect-go has no other way from a
// method to the handler around it.
type lease struct {
	gate    *gate
	block   block.Block
	failed  error  // the call's outcome, when serveGRPC knows it already
	writing func() // called when the response is about to be written
}

type leaseKey struct{}

// end gives everything back.
func (l *lease) end() {
	l.block.Release()
	if l.gate != nil {
		l.gate.leave()
	}
}

// withLease wraps the Connect handler of s.
func (h *Handler) withLease(s *blockService, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l := lease{writing: func() { limitStream(w, r, h.limits.StallTimeout) }}
		defer l.end()
		if r = s.serveGRPC(w, r, &l); r == nil {
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), leaseKey{}, &l)))
	})
}

// ReadBlock implements [cachedv1connect.BlockServiceHandler].
func (s *blockService) ReadBlock(ctx context.Context, req *cachedv1.ReadBlockRequest) (*cachedv1.ReadBlockResponse, error) {
	resp, err := s.readBlock(ctx, req)
	if err != nil {
		wire := toConnect(err)
		logFailure(s.log, kindOf(err), err)
		return nil, wire
	}
	return resp, nil
}

func (s *blockService) readBlock(ctx context.Context, req *cachedv1.ReadBlockRequest) (*cachedv1.ReadBlockResponse, error) {
	l := ctx.Value(leaseKey{}).(*lease)
	if l.failed != nil {
		return nil, l.failed
	}
	content, err := s.find(ctx, req, l, interfaceOf(ctx))
	if err != nil {
		return nil, err
	}
	l.writing()
	return &cachedv1.ReadBlockResponse{
		Content:     content,
		Id:          req.GetId(),
		Tier:        TierToProto(l.block.From),
		BlockLength: uint64(l.block.Len()),
	}, nil
}

// find reads the block a request names into l, and returns the part asked for.
func (s *blockService) find(ctx context.Context, req *cachedv1.ReadBlockRequest, l *lease, via block.Interface) ([]byte, error) {
	id, err := block.ParseID(req.GetId())
	if err != nil {
		return nil, invalid("%w", err)
	}
	call, err := callFromProto(req)
	if err != nil {
		return nil, err
	}
	call.Tenant, call.Via = asTenant(ctx, call.Tenant), via
	if err := s.gate.enter(); err != nil {
		return nil, err
	}
	l.gate = s.gate
	l.block, err = s.reader.ReadBlock(block.WithCall(ctx, call), id)
	if err != nil {
		return nil, err
	}
	from, to, err := span{req.GetOffset(), req.GetLength()}.within(l.block.Len())
	if err != nil {
		return nil, err
	}
	return l.block.Bytes()[from:to:to], nil
}

// interfaceOf returns by which of connect-go's protocols a call came.
func interfaceOf(ctx context.Context) block.Interface {
	info, ok := connect.CallInfoForHandlerContext(ctx)
	if !ok {
		return block.ViaConnect
	}
	switch info.Peer().Protocol {
	case connect.ProtocolGRPC:
		return block.ViaGRPC
	case connect.ProtocolGRPCWeb:
		return block.ViaGRPCWeb
	}
	return block.ViaConnect
}

// callFromProto reads on whose behalf a request is made.
func callFromProto(req *cachedv1.ReadBlockRequest) (block.Call, error) {
	c := req.GetContext()
	call := block.Call{Image: c.GetImage(), Workload: c.GetWorkload(), Tenant: c.GetTenant()}
	for _, field := range [...]struct{ key, value string }{
		{"context.image", call.Image}, {"context.workload", call.Workload}, {"context.tenant", call.Tenant},
	} {
		if err := checkField(field.key, field.value); err != nil {
			return call, err
		}
	}
	if req.GetHops() > 255 {
		return call, invalid("hops %d: at most 255 nodes can pass a read on", req.GetHops())
	}
	call.Hops = uint8(req.GetHops())
	var err error
	call.Cause, err = CauseFromProto(c.GetCause())
	return call, err
}

// noCompression makes connect-go decline the only compression it has built in.
func noCompression() connect.HandlerOption { return connect.WithCompression("gzip", nil, nil) }
