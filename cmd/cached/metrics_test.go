package main

import (
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	rpc "connectrpc.com/connect"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/api/cachedv1/cachedv1connect"
	"github.com/zonecache/cached/block"
)

func TestTheMetricsReferenceIsCurrent(t *testing.T) {
	var made strings.Builder
	if err := printMetrics(t.Context(), &made); err != nil {
		t.Fatal(err)
	}
	was, err := os.ReadFile("../../docs/metrics.md")
	if err != nil || string(was) != made.String() {
		t.Errorf("docs/metrics.md is stale (%v): run `cached metrics > docs/metrics.md`", err)
	}
}

// samples are the counts that a daemon shows of its own, by name and labels: counters,
// gauges and how many a histogram has.
func samples(t *testing.T, d *demoDaemon) map[string]float64 {
	t.Helper()
	return samplesOf(t, metrics(t, d))
}

func samplesOf(t *testing.T, page string) map[string]float64 {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		name, ours := strings.CutPrefix(f.GetName(), "cached_")
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			slices.Sort(labels)
			value := m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			if ours {
				all[name+"{"+strings.Join(labels, ",")+"}"] = value
			}
		}
	}
	return all
}

// notOfTheReads say what the daemon is, or what the clock and the disk make of it.
var notOfTheReads = []string{"build_info", "ready", "tier_capacity_bytes", "tier_used_bytes", "tier_written_bytes", "tier_oldest_entry", "pinned_limit_bytes", "origin_requests_total"}

// One block read by every interface, and every number of the page after it: what is
// not in want is zero.
func TestEveryNumberOfTheDaemonsPage(t *testing.T) {
	origin := filepath.Join(t.TempDir(), "origin")
	publishFile(t, origin, "app", 100_000)
	d := startTestDaemon(t, "--data-dir", t.TempDir(), "--origin", "file://"+origin, "--l1-size", "64MiB", "--l2-size", "64MiB", "--l2-min-free", "0",
		"--prefetch=false", "--metrics-tenants", "shop")
	image, err := d.client.GetImage(t.Context(), "app")
	if err != nil || len(image.GetManifest().GetBlocks()) != 1 {
		t.Fatalf("%v, %v", image, err)
	}
	parsed := block.ID(image.GetManifest().GetBlocks()[0].GetId())
	id := parsed.String()
	size := float64(image.GetManifest().GetBlocks()[0].GetStoredLength())
	before := samples(t, d)
	if len(before) < 300 {
		t.Errorf("%d series before the first read", len(before))
	}

	readAndRelease(t, d.client, parsed) // the origin serves it, and L1 all others
	get := func(client *http.Client, path string, want int) {
		t.Helper()
		resp, err := client.Get(d.client.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != want {
			t.Fatalf("%s: %s, %v", path, resp.Status, err)
		}
	}
	for range 2 {
		get(http.DefaultClient, "/blocks/"+id, http.StatusOK)
	}
	const raw = "/cached.v1.BlockService/ReadBlock?encoding=raw&tenant=shop&id="
	get(http.DefaultClient, raw+id, http.StatusOK)
	get(http.DefaultClient, "/blocks/blake3:"+strings.Repeat("00", 31)+"01", http.StatusNotFound)
	client2 := over2(t)
	get(client2, raw+id, http.StatusOK)
	for _, options := range [][]rpc.ClientOption{{}, {rpc.WithGRPC()}, {rpc.WithGRPC(), rpc.WithSendGzip()}, {rpc.WithGRPCWeb()}} {
		client := cachedv1connect.NewBlockServiceClient(client2, d.client.URL(), options...)
		if _, err := client.ReadBlock(t.Context(), &cachedv1.ReadBlockRequest{Id: id, Context: &cachedv1.CallContext{Tenant: "shop"}}); err != nil && len(options) != 2 {
			t.Fatal(err)
		}
	}
	get(http.DefaultClient, "/blocks/none", http.StatusBadRequest) // no read at all

	want := map[string]float64{
		"block_reads_total{cause=demand,interface=raw,tier=l4}":      1,
		"block_reads_total{cause=demand,interface=raw,tier=l1}":      2,
		"block_reads_total{cause=demand,interface=http,tier=l1}":     2,
		"block_reads_total{cause=demand,interface=http,tier=error}":  1,
		"block_reads_total{cause=demand,interface=connect,tier=l1}":  1,
		"block_reads_total{cause=demand,interface=grpc,tier=l1}":     1,
		"block_reads_total{cause=demand,interface=grpc_web,tier=l1}": 1,
		"block_read_errors_total{cause=demand,kind=not_found}":       1,
		"block_read_duration_seconds{cause=demand,tier=l1}":          7,
		"block_read_duration_seconds{cause=demand,tier=l4}":          1,
		"block_read_duration_seconds{cause=demand,tier=error}":       1,
		"tenant_block_reads_total{tenant=shop,tier=l1}":              5,
		"tenant_block_reads_total{tenant=other,tier=l1}":             2,
		"tenant_block_reads_total{tenant=other,tier=l4}":             1,
		"tenant_block_reads_total{tenant=other,tier=error}":          1,
		"tier_reads_total{outcome=hit,tier=l1}":                      7,
		"tier_reads_total{outcome=not_found,tier=l1}":                2,
		"tier_reads_total{outcome=not_found,tier=l2}":                2,
		"tier_reads_total{outcome=hit,tier=l4}":                      1,
		"tier_reads_total{outcome=not_found,tier=l4}":                1,
		"tier_read_duration_seconds{tier=l1}":                        7,
		"tier_read_duration_seconds{tier=l4}":                        1,
		"tier_offers_total{tier=l2}":                                 1,
		"origin_owned_blocks{}":                                      1,
		"origin_distinct_blocks{}":                                   1,
	}
	for name, n := range maps.Clone(want) {
		if bytes := strings.Replace(name, "block_reads_total", "block_read_bytes_total", 1); bytes != name && !strings.Contains(name, "error") {
			want[bytes] = n * size
		}
	}
	want["tier_read_bytes_total{tier=l1}"], want["tier_read_bytes_total{tier=l4}"] = 7*size, size
	after := map[string]float64{}
	eventually(t, "nothing is in flight", func() bool { after = samples(t, d); return after["requests_in_flight{}"] == 0 })
	// The manifest was read before, and is content, too.
	want["origin_read_bytes_total{}"] = before["origin_read_bytes_total{}"] + size
	for name := range want {
		if _, there := after[name]; !there {
			t.Errorf("%s is missing", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if slices.ContainsFunc(notOfTheReads, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			continue
		}
		if math.Abs(after[name]-want[name]) > 0.5 {
			t.Errorf("%s: %g, want %g", name, after[name], want[name])
		}
	}
	t.Log(fmt.Sprint(len(after)), "series")
}

// What the page says of the daemon itself: what it is, whether it serves, what is prepared,
// and what it asks of a folder. How often it lists that is the clock's.
func TestThePageOfTheDaemonItself(t *testing.T) {
	origin, data := filepath.Join(t.TempDir(), "origin"), t.TempDir()
	publishFile(t, origin, "app", 100_000)
	prepared := filepath.Join(data, "preparations")
	if err := os.Mkdir(prepared, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, state := range map[string]string{"a": "FAILED", "b": "FAILED", "c": "FAILED", "d": "READY"} {
		if err := os.WriteFile(filepath.Join(prepared, name+".json"), fmt.Appendf(nil, `{"image":%q,"state":"PREPARATION_STATE_%s"}`, name, state), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := startTestDaemon(t, "--data-dir", data, "--origin", "file://"+origin, "--l1-size", "64MiB", "--l2-size", "0", "--prefetch=false")
	before := samples(t, d)
	for name, n := range map[string]float64{
		"build_info{go_version=" + runtime.Version() + ",version=" + versionText() + "}": 1, "ready{}": 1,
		"preparations{state=preparing}": 0, "preparations{state=ready}": 1, "preparations{state=failed}": 3,
	} {
		if got, there := before[name]; !there || got != n {
			t.Errorf("%s: %g (%t), want %g", name, got, there, n)
		}
	}
	image, err := d.client.GetImage(t.Context(), "app")
	if err != nil {
		t.Fatal(err)
	}
	read := samples(t, d)
	readAndRelease(t, d.client, block.ID(image.GetManifest().GetBlocks()[0].GetId()))
	if _, out, ok := prepare(t, d, "app"); !ok {
		t.Errorf("%s", out)
	}
	after := samples(t, d)
	if got := after["preparations{state=ready}"]; got != 2 {
		t.Errorf("%g images are prepared, want 2", got)
	}
	// The name and the manifest, then the block; what it prepares is all there.
	if name, content := read["origin_requests_total{op=get}"]-before["origin_requests_total{op=get}"], after["origin_requests_total{op=get}"]-read["origin_requests_total{op=get}"]; name != 2 || content != 1 {
		t.Errorf("%g requests for the image, %g for its block, want 2 and 1", name, content)
	}
	for _, op := range []string{"has", "put", "delete", "other"} {
		if got, there := after["origin_requests_total{op="+op+"}"]; !there || got != 0 {
			t.Errorf("%s: %g (%t), want none", op, got, there)
		}
	}
}
