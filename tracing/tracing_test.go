package tracing

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

func TestMain(m *testing.M) { blocktest.Main(m) }

// kept returns a tracer whose spans stay here.
func kept(t *testing.T, sample float64) (*Tracer, *tracetest.InMemoryExporter) {
	t.Helper()
	memory := tracetest.NewInMemoryExporter()
	p := sdk.NewTracerProvider(sdk.WithSyncer(memory), sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(sample))))
	tr := &Tracer{provider: p, spans: p.Tracer(scope)}
	t.Cleanup(func() {
		if err := tr.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return tr, memory
}

const caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestReadsOfTiersAreSpans(t *testing.T) {
	tr, memory := kept(t, 0)
	b := blocktest.Block(1, 1000)
	defer b.Release()
	call, end := tr.Begin(t.Context(), "call", caller, "")
	for _, err := range []error{nil, block.ErrNotFound, fmt.Errorf("disk: %w", block.ErrCorrupt)} {
		r := tr.Reader(block.Disk, block.ReaderFunc(func(ctx context.Context, _ block.ID) (block.Block, error) {
			if ID(ctx) != "0af7651916cd43dd8448eb211c80319c" {
				t.Errorf("the tier is read in trace %q", ID(ctx))
			}
			if err != nil {
				return block.Block{}, err
			}
			return b.Retain(), nil
		}))
		got, _ := r.ReadBlock(call, b.ID())
		got.Release()
	}
	end(block.ErrCorrupt)
	spans := memory.GetSpans()
	if len(spans) != 4 {
		t.Fatalf("%d spans", len(spans))
	}
	for i, want := range []struct {
		name, outcome string
		status        codes.Code
	}{{"l2", "hit", codes.Unset}, {"l2", "miss", codes.Unset}, {"l2", "error", codes.Error}, {"call", "", codes.Error}} {
		s := spans[i]
		outcome := ""
		for _, a := range s.Attributes {
			if a.Key == "cached.outcome" {
				outcome = a.Value.AsString()
			}
		}
		if s.Name != want.name || outcome != want.outcome || s.Status.Code != want.status {
			t.Errorf("span %d is %s, outcome %q, %v, want %+v", i, s.Name, outcome, s.Status, want)
		}
		if i < 3 && s.Parent.SpanID() != spans[3].SpanContext.SpanID() {
			t.Errorf("span %d is not below the call", i)
		}
	}
	if got := spans[3].Parent.SpanID().String(); got != "b7ad6b7169203331" {
		t.Errorf("the call is below %s", got)
	}
}

// What nobody traces has no spans, and allocates nothing for them.
func TestReadsWithoutATraceHaveNoSpans(t *testing.T) {
	tr, memory := kept(t, 0)
	b := blocktest.Block(1, 1000)
	defer b.Release()
	next := block.ReaderFunc(func(context.Context, block.ID) (block.Block, error) { return b, nil })
	r := tr.Reader(block.Memory, next)
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { _, _ = r.ReadBlock(ctx, b.ID()) }); n > 0 {
		t.Errorf("%g allocations a read", n)
	}
	unsampled, end := tr.Begin(ctx, "call", "", "")
	_, _ = r.ReadBlock(unsampled, b.ID())
	end(nil)
	if ID(unsampled) != "" || len(memory.GetSpans()) != 0 {
		t.Errorf("trace %q, spans %v", ID(unsampled), memory.GetSpans())
	}
	if p := tr.Parent(unsampled); !strings.HasSuffix(p, "-00") {
		t.Errorf("others are told %q, want that it is not recorded", p)
	}
	if p := tr.Parent(ctx); p != "" {
		t.Errorf("a trace from nowhere: %q", p)
	}
}

func TestNobodyTraces(t *testing.T) {
	var off *Tracer
	next := blocktest.NewFake(block.Disk)
	defer next.Close()
	if off.Reader(block.Disk, next) != block.Reader(next) || off.Store(block.Disk, next) != block.Store(next) {
		t.Error("something stands before the tier")
	}
	if err := off.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestEndpointsThatAreNone(t *testing.T) {
	for _, endpoint := range []string{"", "collector:4318", "grpc://collector:4317", "http://", "http://%zz"} {
		if _, err := Open(t.Context(), Options{Endpoint: endpoint}); err == nil || !strings.Contains(err.Error(), "want the URL of a collector") {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}

// A collector that is not there costs spans and a line of the log, nothing else.
func TestNobodyCollects(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	var log bytes.Buffer
	tr, err := Open(t.Context(), Options{Endpoint: "http://" + l.Addr().String(), Sample: 1, Node: "n", Zone: "z", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	_, end := tr.Begin(t.Context(), "call", "", "")
	end(nil)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_ = tr.Close(ctx)
	if !strings.Contains(log.String(), "spans could not be sent and are lost") {
		t.Errorf("the log says %q", log.String())
	}
}
