package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/api/cachedv1/cachedv1connect"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// byToken is an Authenticator whose tokens are the tenants' names; that of the
// operator is "ops". A certificate counts as the tenant of its first name.
func byToken(r AuthRequest) (Caller, error) {
	switch {
	case r.Bearer == "nobody":
		return Caller{}, nil
	case r.Bearer == "forged":
		return Caller{}, fmt.Errorf("the token is of no tenant: %w", ErrUnauthenticated)
	case r.Bearer != "":
		return Caller{r.Bearer, r.Bearer == "ops"}, nil
	case r.TLS != nil && len(r.TLS.PeerCertificates) > 0:
		return Caller{Tenant: r.TLS.PeerCertificates[0].DNSNames[0]}, nil
	}
	return Caller{}, fmt.Errorf("neither a token nor a certificate: %w", ErrUnauthenticated)
}

// A tenantsReader serves a block to one tenant and remembers whom it was asked for.
type tenantsReader struct {
	b     block.Block
	to    string
	asked atomic.Pointer[string]
}

func (r *tenantsReader) ReadBlock(ctx context.Context, id block.ID) (block.Block, error) {
	tenant := block.CallFrom(ctx).Tenant
	r.asked.Store(&tenant)
	if tenant != r.to {
		return block.Block{}, fmt.Errorf("read %s: tenant %q may not: %w", id, tenant, block.ErrDenied)
	}
	if id != r.b.ID() {
		return block.Block{}, fmt.Errorf("read %s: %w", id, block.ErrNotFound)
	}
	return r.b.Retain().WithFrom(block.Memory), nil
}

// A way is one encoding by which a token's bearer reads a block, claiming to be
// of another tenant.
type way struct {
	name string
	read func(token string) (connect.Code, string) // 0: read
}

func ways(t *testing.T, base string, id block.ID) []way {
	hc, h2 := plainClient(t), h2cClient(t, nil)
	query := "id=" + id.String() + "&tenant=shop&image=x"
	overHTTP := func(path string) func(string) (connect.Code, string) {
		return func(token string) (connect.Code, string) {
			var fields []string
			if token != "" {
				fields = []string{"Authorization: Bearer " + token}
			}
			resp := get(t, hc, http.MethodGet, base+path, fields...)
			if resp.StatusCode == http.StatusOK {
				return 0, ""
			}
			var body errorBody
			_ = body.Code.UnmarshalText([]byte(between(string(resp.body), `"code":"`, `"`)))
			return body.Code, between(string(resp.body), `"message":"`, `"}`)
		}
	}
	overRPC := func(hc *http.Client, opts ...connect.ClientOption) func(string) (connect.Code, string) {
		client := cachedv1connect.NewBlockServiceClient(hc, base, opts...)
		return func(token string) (connect.Code, string) {
			ctx, info := connect.NewClientContext(t.Context())
			if token != "" {
				info.RequestHeader().Set("Authorization", "Bearer "+token)
			}
			_, err := client.ReadBlock(ctx, &cachedv1.ReadBlockRequest{Id: id.String(), Context: &cachedv1.CallContext{Tenant: "shop", Image: "x"}})
			var wire *connect.Error
			if errors.As(err, &wire) {
				return wire.Code(), wire.Message()
			}
			return 0, ""
		}
	}
	raw := func(token string) (connect.Code, string) {
		client := connectTo(t, base, ClientOptions{Token: token})
		b, err := client.ReadBlock(block.WithCall(t.Context(), block.Call{Tenant: "shop", Image: "x"}), id)
		var remote *remoteError
		if errors.As(err, &remote) {
			return remote.kind.code, remote.message
		}
		b.Release()
		return 0, ""
	}
	return []way{
		{"raw", raw},
		{"raw over net/http", overHTTP(readBlockPath + "?encoding=raw&" + query)},
		{"alias", overHTTP(blocksPath + id.String() + "?tenant=shop&image=x")},
		{"connect proto", overRPC(hc)},
		{"connect GET", overRPC(hc, connect.WithHTTPGet())},
		{"connect JSON", overRPC(hc, connect.WithProtoJSON())},
		{"grpc", overRPC(h2, connect.WithGRPC())},
		{"grpc-web", overRPC(hc, connect.WithGRPCWeb())},
	}
}

func between(s, before, after string) string {
	_, s, _ = strings.Cut(s, before)
	s, _, _ = strings.Cut(s, after)
	return strings.NewReplacer(`\"`, `"`, `\u003e`, ">").Replace(s)
}

// Every encoding asks who is reading, and believes the token rather than the call.
func TestEveryEncodingAuthenticates(t *testing.T) {
	b := blocktest.Block(1, 3000)
	defer b.Release()
	reader := &tenantsReader{b: b, to: "shop"}
	var log logs
	base := serve(t, Services{Blocks: reader}, Options{Authenticate: byToken, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for _, w := range ways(t, base, b.ID()) {
		t.Run(w.name, func(t *testing.T) {
			if code, text := w.read("shop"); code != 0 {
				t.Errorf("the tenant: %s %s", code, text)
			}
			reader.asked.Store(nil)
			for token, want := range map[string]string{
				"":       "neither a token nor a certificate",
				"forged": "the token is of no tenant",
				"nobody": "the caller is of no tenant",
			} {
				if code, text := w.read(token); code != connect.CodeUnauthenticated || !strings.Contains(text, want) {
					t.Errorf("token %q: %s %q", token, code, text)
				}
			}
			if reader.asked.Load() != nil {
				t.Error("the reader was asked on behalf of nobody")
			}
			code, text := w.read("bank")
			if code != connect.CodePermissionDenied || !strings.Contains(text, `tenant "bank" may not`) {
				t.Errorf("another tenant: %s %q", code, text)
			}
		})
	}
	if !log.has("a caller was refused") || !log.has("peer=127.0.0.1:") || log.has("forged") {
		t.Error("refusals are not logged as they should")
	}
}

// Without an Authenticator the call's own word counts, as before.
func TestWithoutAuthenticationTheCallSays(t *testing.T) {
	b := blocktest.Block(1, 3000)
	defer b.Release()
	base := serve(t, Services{Blocks: &tenantsReader{b: b, to: "shop"}}, Options{})
	for _, w := range ways(t, base, b.ID()) {
		for _, token := range []string{"", "bank"} {
			if code, text := w.read(token); code != 0 {
				t.Errorf("%s: %s %s", w.name, code, text)
			}
		}
	}
}

// Several requests in one packet, each with an identity of its own.
func TestLaneAsksEachRequest(t *testing.T) {
	b := blocktest.Block(1, 300)
	defer b.Release()
	base := serve(t, Services{Blocks: &tenantsReader{b: b, to: "shop"}}, Options{Authenticate: byToken})
	line := "GET " + readBlockPath + "?encoding=raw&id=" + b.ID().String() + " HTTP/1.1\r\nHost: x\r\n"
	cases := []struct {
		fields string
		status int
	}{
		{"Authorization: Bearer shop\r\n", 200},
		{"", 401},
		{"authorization: bearer shop\r\n", 200},
		{"Authorization: Bearer bank\r\n", 403},
		{"Authorization: Basic shop\r\n", 401},
		{"Authorization: Bearer\r\n", 401},
		{"Authorization: \r\n", 401},
		{"Authorization: Bearer shop\r\n", 200},
		{"Authorization: Bearer shop\r\nAuthorization: Bearer shop\r\n", 401}, // net/http's from here on
		{"Authorization: Bearer shop\r\n", 200},
		{"Authorization: Bearer shop\r\nAuthorization: Bearer bank\r\n", 401},
		{"Authorization: Bearer bank\r\n", 403},
	}
	c := dial(t, strings.TrimPrefix(base, "http://"))
	var all strings.Builder
	for _, tt := range cases {
		all.WriteString(line + tt.fields + "\r\n")
	}
	io.WriteString(c, all.String())
	r := bufio.NewReader(c)
	for i, tt := range cases {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("response %d: %v", i, err)
		}
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != tt.status {
			t.Errorf("response %d to %q: %s %s, want %d", i, tt.fields, resp.Status, body, tt.status)
		}
		if (resp.Header.Get("WWW-Authenticate") != "") != (tt.status == 401) {
			t.Errorf("response %d: WWW-Authenticate %q", i, resp.Header.Get("WWW-Authenticate"))
		}
	}
}

// tenantsImages shows every tenant an image of its own.
type tenantsImages struct{}

func (tenantsImages) GetImage(ctx context.Context, image string) (*cachedv1.GetImageResponse, error) {
	if tenant := block.CallFrom(ctx).Tenant; image != tenant {
		return nil, fmt.Errorf("image %q: tenant %q may not: %w", image, tenant, block.ErrDenied)
	}
	return &cachedv1.GetImageResponse{}, nil
}

func (tenantsImages) ListImages(ctx context.Context) ([]*cachedv1.ImageEntry, error) {
	return []*cachedv1.ImageEntry{{Name: block.CallFrom(ctx).Tenant}}, nil
}

func TestImagesAndBooksAreForThoseWhoMay(t *testing.T) {
	base := serve(t, Services{Images: tenantsImages{}, Admin: books{}}, Options{Authenticate: byToken})
	shop, ops := connectTo(t, base, ClientOptions{Token: "shop"}), connectTo(t, base, ClientOptions{Token: "ops"})
	nobody := connectTo(t, base, ClientOptions{})
	ctx := t.Context()

	if _, err := shop.OpenImage(ctx, &cachedv1.OpenImageRequest{Image: "shop"}); err != nil {
		t.Error(err)
	}
	if list, err := shop.ListImages(ctx); err != nil || len(list) != 1 || list[0].GetName() != "shop" {
		t.Errorf("%v, %v", list, err)
	}
	for name, err := range map[string]error{
		"open":   second(shop.OpenImage(ctx, &cachedv1.OpenImageRequest{Image: "bank"})),
		"get":    second(shop.GetImage(ctx, "bank")),
		"status": second(shop.Status(ctx)),
		"ledger": second(shop.Ledger(ctx)),
	} {
		if !errors.Is(err, ErrDenied) || !errors.Is(err, block.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := errors.Join(second(ops.Status(ctx)), second(ops.Ledger(ctx))); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"open":   second(nobody.OpenImage(ctx, &cachedv1.OpenImageRequest{Image: "shop"})),
		"list":   second(nobody.ListImages(ctx)),
		"close":  nobody.CloseSession(ctx, "x"),
		"ready":  nobody.MarkReady(ctx, "x"),
		"expect": second(nobody.ExpectBlocks(ctx, "x")),
		"touch":  second(nobody.NoteTouches(ctx, "x", nil)),
		"status": second(nobody.Status(ctx)),
		"ledger": second(nobody.Ledger(ctx)),
		"block":  second(nobody.ReadBlock(ctx, block.Sum(nil))),
	} {
		if !errors.Is(err, ErrUnauthenticated) || !errors.Is(err, block.ErrUnauthenticated) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if resp := get(t, plainClient(t), "GET", base+"/elsewhere"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("an unknown path: %s", resp.Status)
	}
}

// A load balancer has no token.
func TestHealthIsAnybodysToAsk(t *testing.T) {
	base := serve(t, Services{Images: tenantsImages{}, Admin: books{}}, Options{Authenticate: byToken})
	conn := grpcConn(t, base)
	resp, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil || resp.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("%v, %v", resp, err)
	}
	// Reflection tells what there is, so it asks too.
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.Unauthenticated {
		t.Errorf("reflection without a token: %v", err)
	}
}

// The server's work for a token is one string and what the call takes.
func TestAuthenticationAllocatesLittle(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	b := blocktest.Block(1, 4096)
	defer b.Release()
	without := serve(t, Services{Blocks: inMemory(b)}, Options{})
	with := serve(t, Services{Blocks: inMemory(b)}, Options{Authenticate: byToken})
	count := func(base string) float64 {
		c := connectTo(t, base, ClientOptions{Token: "shop"})
		n, _ := allocations(t, 300, func() error {
			got, err := c.ReadBlock(t.Context(), b.ID())
			got.Release()
			return err
		})
		return n
	}
	if a, b := count(without), count(with); b-a > 3.5 {
		t.Errorf("%.1f allocations with authentication, %.1f without", b, a)
	}
}
