package api

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	"connectrpc.com/grpcreflect"

	"github.com/zonecache/cached/api/cachedv1/cachedv1connect"
)

// maxRequest bounds a request message: every one is a few names and numbers.
const maxRequest = 64 << 10

// A Handler serves all encodings of all services, server reflection and gRPC
// health on one port.
type Handler struct {
	mux      *http.ServeMux
	raw      *rawHandler
	guard    *guard // nil: anybody may call
	draining atomic.Bool
	limits   ServerOptions // set by NewServer; zero: no time limits
}

// NewHandler returns the handler of the services.
func NewHandler(services Services, options Options) *Handler {
	o := options.withDefaults()
	g := &gate{limit: int64(o.MaxInFlight), setting: "max_in_flight", refused: o.Overloaded}
	h := &Handler{mux: http.NewServeMux(), guard: newGuard(o.Authenticate, o.Logger)}
	h.raw = &rawHandler{reader: services.Blocks, gate: g, guard: h.guard, tracer: o.Tracer, log: o.Logger, limits: &h.limits}
	limits := connect.WithHandlerOptions(noCompression(), connect.WithReadMaxBytes(maxRequest))
	ours := limits // of our own services; nobody wants spans of health checks
	if o.Tracer != nil {
		ours = connect.WithHandlerOptions(limits, connect.WithInterceptors(o.Tracer.Interceptor()))
	}

	blocks := &blockService{services.Blocks, g, o.Tracer, o.Logger}
	path, rpc := cachedv1connect.NewBlockServiceHandler(blocks, ours)
	h.mux.Handle(path, h.withLease(blocks, rpc))
	h.mux.HandleFunc(blocksPath, h.raw.serveAlias)

	images := newImageService(services, o)
	imagesPath, imagesRPC := cachedv1connect.NewImageServiceHandler(images, ours)
	h.mux.Handle(imagesPath, imagesRPC)
	few := fewAtATime(imagesRPC, maxImageAnswers)
	for _, answersManifests := range []string{
		cachedv1connect.ImageServiceOpenImageProcedure, cachedv1connect.ImageServiceGetImageProcedure, cachedv1connect.ImageServiceListImagesProcedure,
		cachedv1connect.ImageServicePurgeImageProcedure,
	} {
		h.mux.Handle(answersManifests, few)
	}
	h.mux.Handle(cachedv1connect.NewAdminServiceHandler(
		&adminService{services.Admin, services.Drills, images.sessions.Len, o.Logger}, ours))

	names := []string{cachedv1connect.BlockServiceName, cachedv1connect.ImageServiceName, cachedv1connect.AdminServiceName}
	reflector := grpcreflect.NewStaticReflector(append(names, grpchealth.HealthV1ServiceName)...)
	h.mux.Handle(grpcreflect.NewHandlerV1(reflector, limits))
	h.mux.Handle(grpcreflect.NewHandlerV1Alpha(reflector, limits))
	h.mux.Handle(grpchealth.NewHandler(&health{h, o.Ready, names}, limits))
	return h
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if l, ok := r.Context().Value(tenureKey{}).(tenure); ok && l.over(h.limits.now()) {
		w.Header().Set("Connection", "close") // HTTP/2 makes a GOAWAY of it
	}
	if h.guard != nil {
		if r = h.guard.admit(w, r, h.raw.fail); r == nil {
			return
		}
	}
	// The router ignores queries, and Connect has this path too.
	if isRawRequest(r) {
		h.raw.serveProcedure(w, r)
		return
	}
	limitBody(w, r, h.limits.HeaderTimeout)
	h.mux.ServeHTTP(w, r)
}

// isRawRequest reports whether r is a block read in the raw encoding by the
// procedure's own path.
func isRawRequest(r *http.Request) bool {
	return r.URL.Path == readBlockPath && r.Method == http.MethodGet && isRaw(r.URL.RawQuery)
}

// isRaw reports whether a query asks for the raw encoding.
func isRaw(query string) bool {
	const want = "encoding=raw"
	i := strings.Index(query, want)
	return i >= 0 && (i == 0 || query[i-1] == '&') && (i+len(want) == len(query) || query[i+len(want)] == '&')
}

// Drain makes the health service say NOT_SERVING. Requests are still served.
func (h *Handler) Drain() { h.draining.Store(true) }

// Draining reports whether Drain was called.
func (h *Handler) Draining() bool { return h.draining.Load() }

// health answers grpc.health.v1.Health/Check for the whole process (no name)
// and for each service alike.
type health struct {
	handler *Handler
	ready   func() []string
	names   []string
}

// Check implements [grpchealth.Checker].
func (c *health) Check(_ context.Context, req *grpchealth.CheckRequest) (*grpchealth.CheckResponse, error) {
	known := req.Service == ""
	for _, name := range c.names {
		known = known || name == req.Service
	}
	if !known {
		return nil, toConnect(notFound("service %.80q: want one of %s, or none for the whole daemon", req.Service, strings.Join(c.names, ", ")))
	}
	status := grpchealth.StatusServing
	if c.handler.Draining() || len(c.ready()) > 0 {
		status = grpchealth.StatusNotServing
	}
	return &grpchealth.CheckResponse{Status: status}, nil
}
