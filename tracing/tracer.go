package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"

	"connectrpc.com/connect"
	"connectrpc.com/otelconnect"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/zonecache/cached/sparse"
)

// Options configures a Tracer.
type Options struct {
	Endpoint string  // URL of the collector, http or https; without a path it is /v1/traces
	Sample   float64 // share of the calls that are recorded, of those that bring no trace, 0 to 1
	Node     string  // this node's name; "" where it has none
	Zone     string
	Version  string
	Logger   *slog.Logger // nil: discard
}

// A Tracer makes spans and sends them. All methods may be called at once.
type Tracer struct {
	provider *sdk.TracerProvider
	spans    trace.Tracer
	rpc      connect.Interceptor
}

// scope names this program's spans among others'.
const scope = "github.com/zonecache/cached"

// CheckEndpoint reports what is wrong with the URL of a collector.
func CheckEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%q: want the URL of a collector that takes OTLP over HTTP, as in http://127.0.0.1:4318", endpoint)
	}
	return nil
}

// Open returns a tracer. It does not connect: a collector may come later, or go.
func Open(ctx context.Context, o Options) (*Tracer, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := CheckEndpoint(o.Endpoint); err != nil {
		return nil, err
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil {
		return nil, err
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	out, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(u.String()), otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	from := []attribute.KeyValue{attribute.String("service.name", "cached"), attribute.String("service.version", o.Version)}
	if o.Zone != "" {
		from = append(from, attribute.String("service.namespace", o.Zone))
	}
	if o.Node != "" {
		from = append(from, attribute.String("service.instance.id", o.Node))
	}
	t := &Tracer{provider: sdk.NewTracerProvider(
		sdk.WithBatcher(&exporter{SpanExporter: out, log: o.Logger}),
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(o.Sample))),
		sdk.WithResource(resource.NewSchemaless(from...)),
	)}
	t.spans = t.provider.Tracer(scope)
	if t.rpc, err = otelconnect.NewInterceptor(
		otelconnect.WithTracerProvider(t.provider), otelconnect.WithPropagator(w3c), otelconnect.WithoutMetrics(),
		otelconnect.WithTrustRemote(),
	); err != nil {
		return nil, errors.Join(fmt.Errorf("tracing: %w", err), t.Close(ctx))
	}
	return t, nil
}

// Interceptor makes the spans of what connect-go serves.
func (t *Tracer) Interceptor() connect.Interceptor { return t.rpc }

// Close sends what is left, until ctx ends.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// w3c is how a trace travels.
var w3c = propagation.TraceContext{}

const parentHeader = "traceparent"

// Begin begins the span of a call, or of an ask of another node, below parent, which
// is a W3C traceparent, or below ctx's span where that is "". node is the other node,
// if any. end ends the span with what became of the call.
func (t *Tracer) Begin(ctx context.Context, name, parent, node string) (_ context.Context, end func(error)) {
	kind := trace.SpanKindClient
	if parent != "" {
		ctx = w3c.Extract(ctx, propagation.MapCarrier{parentHeader: parent})
	}
	if !trace.SpanContextFromContext(ctx).IsValid() || parent != "" {
		kind = trace.SpanKindServer
	}
	ctx, span := t.spans.Start(ctx, name, trace.WithSpanKind(kind))
	if node != "" {
		span.SetAttributes(attribute.String("cached.peer", node))
	}
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

// Parent returns the traceparent of ctx's span, for others; "" when it has none.
func (*Tracer) Parent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	w3c.Inject(ctx, carrier)
	return carrier[parentHeader]
}

// ID returns the id of the trace that is recorded of ctx; "" when none is.
func ID(ctx context.Context) string {
	if s := trace.SpanContextFromContext(ctx); s.IsSampled() {
		return s.TraceID().String()
	}
	return ""
}

// An exporter logs what could not be sent. OpenTelemetry would tell a handler that the
// whole process shares.
type exporter struct {
	sdk.SpanExporter
	log      *slog.Logger
	complain sparse.Gate
}

// ExportSpans implements [sdk.SpanExporter].
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if err := e.SpanExporter.ExportSpans(ctx, spans); err != nil {
		e.complain.Warn(e.log, "spans could not be sent and are lost", "spans", len(spans), "error", err)
	}
	return nil
}
