package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/api/cachedv1/cachedv1connect"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/testtool"
)

// h2cClient speaks HTTP/2 without TLS.
func h2cClient(tb testing.TB, c *http.HTTP2Config) *http.Client {
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	hc := &http.Client{Transport: &http.Transport{Protocols: &p, HTTP2: c, DisableCompression: true}}
	tb.Cleanup(hc.CloseIdleConnections)
	return hc
}

func TestEveryProtocolReadsBlocks(t *testing.T) {
	b := blocktest.Block(1, 300_000)
	defer b.Release()
	base := serve(t, Services{Blocks: inMemory(b)}, Options{})
	for name, rpc := range map[string]cachedv1connect.BlockServiceClient{
		"connect":         cachedv1connect.NewBlockServiceClient(plainClient(t), base),
		"connect json":    cachedv1connect.NewBlockServiceClient(plainClient(t), base, connect.WithProtoJSON()),
		"connect get":     cachedv1connect.NewBlockServiceClient(plainClient(t), base, connect.WithHTTPGet()),
		"connect over h2": cachedv1connect.NewBlockServiceClient(h2cClient(t, nil), base),
		"grpc":            cachedv1connect.NewBlockServiceClient(h2cClient(t, nil), base, connect.WithGRPC()),
		"grpc-web":        cachedv1connect.NewBlockServiceClient(plainClient(t), base, connect.WithGRPCWeb()),
	} {
		t.Run(name, func(t *testing.T) {
			ctx, info := connect.NewClientContext(t.Context())
			resp, err := rpc.ReadBlock(ctx, &cachedv1.ReadBlockRequest{Id: b.ID().String(), Offset: 5, Length: 200_000})
			if err != nil {
				t.Fatal(err)
			}
			want := &cachedv1.ReadBlockResponse{Content: b.Bytes()[5:200_005], Id: b.ID().String(), Tier: cachedv1.Tier_TIER_MEMORY, BlockLength: 300_000}
			if !proto.Equal(resp, want) {
				t.Fatalf("%d bytes, id %s, tier %s, length %d", len(resp.Content), resp.Id, resp.Tier, resp.BlockLength)
			}
			for _, field := range []string{"Content-Encoding", "Grpc-Encoding"} {
				if v := info.ResponseHeader().Get(field); v != "" && v != "identity" {
					t.Errorf("%s: %s", field, v)
				}
			}
			_, err = rpc.ReadBlock(t.Context(), &cachedv1.ReadBlockRequest{Id: block.Sum(nil).String()})
			if connect.CodeOf(err) != connect.CodeNotFound {
				t.Errorf("absent block: %v", err)
			}
		})
	}
}

func TestCurlReadsBlocks(t *testing.T) {
	b := blocktest.Block(1, 3000)
	defer b.Release()
	base := serve(t, Services{Blocks: inMemory(b)}, Options{})
	hc := plainClient(t)
	message := `{"id":"` + b.ID().String() + `","length":"10"}`
	resp, err := hc.Post(base+readBlockPath, "application/json", strings.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	posted, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	got := get(t, hc, "GET", base+readBlockPath+"?connect=v1&encoding=json&message="+url.QueryEscape(message)).body
	for _, body := range [][]byte{posted, got} {
		var fields struct{ Content, ID, Tier, BlockLength string }
		if err := json.Unmarshal(body, &fields); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		content, err := base64.StdEncoding.DecodeString(fields.Content)
		if err != nil || !bytes.Equal(content, b.Bytes()[:10]) || fields.Tier != "TIER_MEMORY" || fields.BlockLength != "3000" {
			t.Fatalf("%s", body)
		}
	}
	big := get(t, hc, "GET", base+readBlockPath+"?encoding=raw&id="+b.ID().String(), "Accept-Encoding: gzip")
	if !bytes.Equal(big.body, b.Bytes()) {
		t.Fatal("raw: wrong bytes")
	}
}

func TestRPCBadInput(t *testing.T) {
	b := blocktest.Block(1, 3000)
	defer b.Release()
	rpc := cachedv1connect.NewBlockServiceClient(plainClient(t), serve(t, Services{Blocks: inMemory(b)}, Options{}))
	id := b.ID().String()
	for _, tt := range []struct {
		req  *cachedv1.ReadBlockRequest
		code connect.Code
		text string
	}{
		{&cachedv1.ReadBlockRequest{}, connect.CodeInvalidArgument, "blake3:"},
		{&cachedv1.ReadBlockRequest{Id: "sha256:00"}, connect.CodeInvalidArgument, "blake3:"},
		{&cachedv1.ReadBlockRequest{Id: id, Offset: 3000}, connect.CodeInvalidArgument, "3000 bytes"},
		{&cachedv1.ReadBlockRequest{Id: id, Offset: 1, Length: 1 << 63}, connect.CodeInvalidArgument, "at most 2999"},
		{&cachedv1.ReadBlockRequest{Id: id, Hops: 256}, connect.CodeInvalidArgument, "255"},
		{&cachedv1.ReadBlockRequest{Id: id, Context: &cachedv1.CallContext{Cause: 9}}, connect.CodeInvalidArgument, "cause 9"},
		{&cachedv1.ReadBlockRequest{Id: id, Context: &cachedv1.CallContext{Image: strings.Repeat("x", 300)}}, connect.CodeInvalidArgument, "image"},
		{&cachedv1.ReadBlockRequest{Id: strings.Repeat("x", maxRequest)}, connect.CodeResourceExhausted, "max"},
	} {
		_, err := rpc.ReadBlock(t.Context(), tt.req)
		if connect.CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%.80v: %v, want %s with %q", tt.req, err, tt.code, tt.text)
		}
	}
}

// grpc-go knows nothing of connect-go: health, a block, and an error's code.
func TestGRPCGoClient(t *testing.T) {
	b := blocktest.Block(1, 300_000)
	defer b.Release()
	var reasons []string
	base := serve(t, Services{Blocks: inMemory(b)}, Options{Ready: func() []string { return reasons }})
	conn := grpcConn(t, base)
	check := func(service string) (*healthpb.HealthCheckResponse, error) {
		return healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
	}
	for _, service := range []string{"", cachedv1connect.BlockServiceName} {
		if resp, err := check(service); err != nil || resp.Status != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("health of %q: %v, %v", service, resp, err)
		}
	}
	if _, err := check("nobody"); status.Code(err) != codes.NotFound {
		t.Errorf("health of an unknown service: %v", err)
	}
	reasons = []string{"origin unreachable"}
	if resp, err := check(""); err != nil || resp.Status != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health when not ready: %v, %v", resp, err)
	}
	var resp cachedv1.ReadBlockResponse
	err := conn.Invoke(t.Context(), readBlockPath, &cachedv1.ReadBlockRequest{Id: b.ID().String()}, &resp)
	if err != nil || !bytes.Equal(resp.Content, b.Bytes()) {
		t.Errorf("ReadBlock: %d bytes, %v", len(resp.Content), err)
	}
	err = conn.Invoke(t.Context(), readBlockPath, &cachedv1.ReadBlockRequest{Id: block.Sum(nil).String()}, &resp)
	if status.Code(err) != codes.NotFound {
		t.Errorf("absent block: %v", err)
	}
}

func grpcConn(tb testing.TB, base string) *grpc.ClientConn {
	tb.Helper()
	conn, err := grpc.NewClient(strings.TrimPrefix(base, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return conn
}

// grpcurl has nothing of ours: it learns the messages by reflection.
func TestGRPCurl(t *testing.T) {
	bin := testtool.Go(t, "grpcurl")
	b := blocktest.Block(1, 3000)
	defer b.Release()
	address := strings.TrimPrefix(serve(t, Services{Blocks: inMemory(b)}, Options{}), "http://")
	run := func(args ...string) string {
		ctx, cancel := context.WithTimeout(t.Context(), 30e9)
		defer cancel()
		out, err := exec.CommandContext(ctx, bin, append([]string{"-plaintext"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("grpcurl %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	list := run(address, "list")
	for _, want := range []string{"cached.v1.BlockService", "cached.v1.ImageService", "cached.v1.AdminService", "grpc.health.v1.Health"} {
		if !strings.Contains(list, want) {
			t.Errorf("grpcurl list: %s lacks %s", list, want)
		}
	}
	var resp struct{ Content []byte }
	out := run("-d", fmt.Sprintf(`{"id":%q}`, b.ID()), address, "cached.v1.BlockService/ReadBlock")
	if err := json.Unmarshal([]byte(out), &resp); err != nil || !bytes.Equal(resp.Content, b.Bytes()) {
		t.Errorf("grpcurl ReadBlock: %.200s (%v)", out, err)
	}
	if out := run(address, "grpc.health.v1.Health/Check"); !strings.Contains(out, "SERVING") {
		t.Errorf("grpcurl health: %s", out)
	}
}
