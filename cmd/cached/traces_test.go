package main

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	rpc "connectrpc.com/connect"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/api/cachedv1/cachedv1connect"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/placement"
)

// A span is what a collector was sent of one.
type span struct {
	*spans.Span
	node string
}

func (s span) attribute(key string) string {
	for _, a := range s.GetAttributes() {
		if a.GetKey() == key {
			return a.GetValue().GetStringValue()
		}
	}
	return ""
}

// A spanCollector takes OTLP over HTTP, as OpenTelemetry's does.
type spanCollector struct {
	url string

	mu  sync.Mutex
	all []span
}

func startCollector(t *testing.T) *spanCollector {
	c := &spanCollector{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := c.take(r); err != nil {
			t.Errorf("the collector was sent: %v", err)
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

func (c *spanCollector) take(r *http.Request) error {
	if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		return fmt.Errorf("%s %s of %s", r.Method, r.URL, r.Header.Get("Content-Type"))
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		var err error
		if body, err = gzip.NewReader(r.Body); err != nil {
			return err
		}
	}
	p, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	var req collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(p, &req); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range req.GetResourceSpans() {
		of := span{Span: &spans.Span{Attributes: resource.GetResource().GetAttributes()}}
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.all = append(c.all, span{s, of.attribute("service.instance.id")})
			}
		}
	}
	return nil
}

// trace returns the spans of one trace, by the name of their node and their own.
func (c *spanCollector) trace(id string) map[string][]span {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := map[string][]span{}
	for _, s := range c.all {
		if hex.EncodeToString(s.GetTraceId()) == id {
			name := s.node + " " + s.GetName()
			found[name] = append(found[name], s)
		}
	}
	return found
}

// The trace and the span that a caller says it reads for.
func callersTrace(n int) (id, parent, header string) {
	id, parent = fmt.Sprintf("%032x", 0xabc000+n), fmt.Sprintf("%016x", 0xdef000+n)
	return id, parent, "00-" + id + "-" + parent + "-01"
}

// callTraced makes one request of a daemon with a traceparent and wants it to succeed.
func callTraced(t *testing.T, method, url, body, traceparent string) {
	t.Helper()
	callTracedBy(t, http.DefaultClient, method, url, body, traceparent)
}

func callTracedBy(t *testing.T, client *http.Client, method, url, body, traceparent string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if traceparent != "" {
		req.Header.Set("Traceparent", traceparent)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, resp.Status, err)
	}
}

// tracedReads are all ways in which a program reads a block, and the span of each.
var tracedReads = []struct {
	name, span string
	read       func(t *testing.T, url, id, traceparent string)
}{
	{"raw", "cached.v1.BlockService/ReadBlock", func(t *testing.T, url, id, traceparent string) {
		callTraced(t, http.MethodGet, url+"/cached.v1.BlockService/ReadBlock?encoding=raw&id="+id, "", traceparent)
	}},
	{"raw over HTTP/2", "cached.v1.BlockService/ReadBlock", func(t *testing.T, url, id, traceparent string) {
		callTracedBy(t, over2(t), http.MethodGet, url+"/cached.v1.BlockService/ReadBlock?encoding=raw&id="+id, "", traceparent)
	}},
	{"blocks", "GET /blocks", func(t *testing.T, url, id, traceparent string) {
		callTraced(t, http.MethodGet, url+"/blocks/"+id, "", traceparent)
	}},
	{"JSON", "cached.v1.BlockService/ReadBlock", func(t *testing.T, url, id, traceparent string) {
		callTraced(t, http.MethodPost, url+"/cached.v1.BlockService/ReadBlock", `{"id":"`+id+`"}`, traceparent)
	}},
	{"Connect", "cached.v1.BlockService/ReadBlock", readRPC()},
	{"gRPC", "cached.v1.BlockService/ReadBlock", readRPC(rpc.WithGRPC())},
	{"gRPC-Web", "cached.v1.BlockService/ReadBlock", readRPC(rpc.WithGRPCWeb())},
}

// over2 returns a client that speaks HTTP/2 in plain text.
func over2(t *testing.T) *http.Client {
	t.Helper()
	var h2c http.Protocols
	h2c.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: &h2c}}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// readRPC reads a block by a protocol of connect-go's client.
func readRPC(protocol ...rpc.ClientOption) func(t *testing.T, url, id, traceparent string) {
	return func(t *testing.T, url, id, traceparent string) {
		t.Helper()
		ctx, call := rpc.NewClientContext(t.Context())
		call.RequestHeader().Set("Traceparent", traceparent)
		if _, err := cachedv1connect.NewBlockServiceClient(over2(t), url, protocol...).ReadBlock(ctx, &cachedv1.ReadBlockRequest{Id: id}); err != nil {
			t.Fatal(err)
		}
	}
}

// One read of a block that another node owns: what the caller began, by whichever
// interface, goes on through the call, the tiers of its host, the ask of the owner and
// the owner's tiers to the origin, in one trace.
func TestATraceGoesThroughTheZone(t *testing.T) {
	c := startCollector(t)
	origin := filepath.Join(t.TempDir(), "origin")
	ids := fillFolder(t, origin, 40)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
	args, seed := joiner(t, "h0", origin, "--tracing-endpoint", c.url, "--tracing-sample", "0", "--prefetch=false")
	first := startTestDaemon(t, args...)
	args, _ = joiner(t, "h1", origin, "--tracing-endpoint", c.url, "--tracing-sample", "0", "--prefetch=false", "--seed", seed)
	second := startTestDaemon(t, args...)
	for _, d := range []*demoDaemon{first, second} {
		eventually(t, "it knows the other", func() bool { return strings.Contains(adminPage(t, d, "/metrics"), "\ncached_ring_members 2\n") })
	}
	ring := placement.NewRing([]placement.Member{{Name: "h0", Weight: 1}, {Name: "h1", Weight: 1}})
	ids = slices.DeleteFunc(ids, func(id block.ID) bool { owner, _ := ring.Owner(id); return owner.Name != "h1" })
	for n, by := range tracedReads {
		_, _, traceparent := callersTrace(n)
		by.read(t, first.client.URL(), ids[n].String(), traceparent)
		callTraced(t, http.MethodGet, first.client.URL()+"/blocks/"+ids[n].String(), "", "") // brings no trace, and none is sampled
	}
	for n, by := range tracedReads {
		c.checkThroughTheZone(t, n, "h0 "+by.span)
	}
	id, _, _ := callersTrace(0)
	if page := openMetrics(t, first); !strings.Contains(page, `# {trace_id="`+id[:20]) {
		t.Errorf("no histogram leads to a trace:\n%s", page)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.all {
		if !strings.HasPrefix(hex.EncodeToString(s.GetTraceId()), "00000000000000000000000000abc") {
			t.Errorf("a span of no caller's trace: %s %s", s.node, s.GetName())
		}
	}
}

// checkThroughTheZone fails the test unless a caller's trace leads from its call of h0
// to the origin that h1 read.
func (c *spanCollector) checkThroughTheZone(t *testing.T, n int, call string) {
	t.Helper()
	id, parent, _ := callersTrace(n)
	var through map[string][]span
	eventually(t, "a trace of both nodes below "+call, func() bool {
		through = c.trace(id)
		return len(through["h1 l4"]) == 1 && len(through["h1 peer.answer"]) == 1 && len(through[call]) == 1 && len(through["h0 l3"]) == 1
	})
	for _, want := range []struct{ name, below, outcome string }{
		{call, "", ""},
		{"h0 l1", call, "miss"},
		{"h0 l3", call, "hit"},
		{"h0 peer.ask", "h0 l3", ""},
		{"h1 peer.answer", "h0 peer.ask", ""},
		{"h1 l1", "h1 peer.answer", "miss"},
		{"h1 l4", "h1 peer.answer", "hit"},
	} {
		got := through[want.name]
		if len(got) == 0 {
			t.Errorf("there is no span %s among %v", want.name, through)
			continue
		}
		above := parent
		if want.below != "" {
			above = hex.EncodeToString(through[want.below][0].GetSpanId())
		}
		if got := hex.EncodeToString(got[0].GetParentSpanId()); got != above {
			t.Errorf("%s is below %s, want %q, %s", want.name, got, want.below, above)
		}
		if outcome := got[0].attribute("cached.outcome"); outcome != want.outcome {
			t.Errorf("%s: outcome %q, want %q", want.name, outcome, want.outcome)
		}
	}
	if node := through["h0 peer.ask"][0].attribute("cached.peer"); node != "h1" {
		t.Errorf("%q was asked, want h1", node)
	}
}

// openMetrics returns what a Prometheus is shown that asks for OpenMetrics.
func openMetrics(t *testing.T, d *demoDaemon) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+d.admin+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasSuffix(string(page), "# EOF\n") {
		t.Fatalf("%v: no OpenMetrics:\n%s", err, page)
	}
	return string(page)
}

// By whichever interface a traced read comes, its span is below the caller's and the
// tiers' below its; and the histograms lead to the trace.
func TestEveryInterfaceIsTraced(t *testing.T) {
	c := startCollector(t)
	b := blocktest.Block(3, 100_000)
	defer b.Release()
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")

	address := "http://" + startNodeOf(t, b, func(cfg *Config) { cfg.Tracing.Endpoint, cfg.Tracing.Sample, cfg.Zone.Node = c.url, 0, "n" })
	for n, by := range tracedReads {
		id, parent, traceparent := callersTrace(n)
		by.read(t, address, b.ID().String(), traceparent)
		eventually(t, "the spans of "+by.name, func() bool { found := c.trace(id); return len(found["n "+by.span]) == 1 && len(found["n l1"]) == 1 })
		found := c.trace(id)
		call, l1 := found["n "+by.span][0], found["n l1"][0]
		if got := hex.EncodeToString(call.GetParentSpanId()); got != parent || call.GetKind() != spans.Span_SPAN_KIND_SERVER {
			t.Errorf("%s: a %s span below %s, want a server's below %s", by.name, call.GetKind(), got, parent)
		}
		if !bytes.Equal(l1.GetParentSpanId(), call.GetSpanId()) {
			t.Errorf("%s: L1 is not below the call", by.name)
		}
	}
}
