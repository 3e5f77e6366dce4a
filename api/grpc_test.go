package api

import (
	"context"
	"encoding/binary"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/api/cachedv1/cachedv1connect"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// A grpcAnswer is a response as it is on the wire.
type grpcAnswer struct {
	status          int
	header, trailer http.Header
	message         []byte
}

func postGRPC(t *testing.T, base string, header http.Header, body io.Reader) grpcAnswer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+readBlockPath, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = maps.Clone(header)
	resp, err := h2cClient(t, nil).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got := grpcAnswer{resp.StatusCode, resp.Header, resp.Trailer, nil}
	if got.message, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	got.trailer = resp.Trailer
	for _, field := range []string{"Date", "Grpc-Accept-Encoding", "Trailer", "Content-Length"} {
		got.header.Del(field)
	}
	return got
}

// connectOnly serves blocks by connect-go alone.
func connectOnly(t *testing.T, r block.Reader) string {
	o := Options{}.withDefaults()
	s := &blockService{r, &gate{limit: 1}, nil, o.Logger}
	_, rpc := cachedv1connect.NewBlockServiceHandler(s, noCompression(), connect.WithReadMaxBytes(maxRequest))
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	server := &http.Server{Protocols: &p, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l := lease{writing: func() {}}
		defer l.end()
		rpc.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), leaseKey{}, &l)))
	})}
	l := listen(t)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return "http://" + l.Addr().String()
}

// envelope is a message as gRPC frames it.
func envelope(flag byte, message []byte) string {
	return string(binary.BigEndian.AppendUint32([]byte{flag}, uint32(len(message)))) + string(message)
}

func TestGRPCAnswersAsConnectGoDoes(t *testing.T) {
	b := blocktest.Block(1, 300_000)
	defer b.Release()
	reader := block.ReaderFunc(func(ctx context.Context, id block.ID) (block.Block, error) {
		if block.CallFrom(ctx).Workload == "overload" {
			return block.Block{}, block.ErrOverloaded
		}
		return inMemory(b).ReadBlock(ctx, id)
	})
	ours, theirs := serve(t, Services{Blocks: reader}, Options{}), connectOnly(t, reader)
	one := func(req *cachedv1.ReadBlockRequest) string {
		p, err := proto.Marshal(req)
		if err != nil {
			t.Fatal(err)
		}
		return envelope(0, p)
	}
	id := b.ID().String()
	whole := one(&cachedv1.ReadBlockRequest{Id: id})
	for name, tt := range map[string]struct {
		header string // "Name: value" by line
		body   string
		lean   bool
	}{
		"whole":            {"", whole, true},
		"+proto":           {"Content-Type: application/grpc+proto", whole, true},
		"identity":         {"Grpc-Encoding: identity", whole, true},
		"timeout":          {"Grpc-Timeout: 10S", whole, true},
		"part":             {"", one(&cachedv1.ReadBlockRequest{Id: id, Offset: 7, Length: 9}), true},
		"call":             {"", one(&cachedv1.ReadBlockRequest{Id: id, Hops: 3, Context: &cachedv1.CallContext{Image: "x", Cause: 2}}), true},
		"absent":           {"", one(&cachedv1.ReadBlockRequest{Id: block.Sum(nil).String()}), false},
		"overloaded":       {"", one(&cachedv1.ReadBlockRequest{Id: id, Context: &cachedv1.CallContext{Workload: "overload"}}), false},
		"bad id":           {"", one(&cachedv1.ReadBlockRequest{Id: "ümlaut"}), false},
		"bad range":        {"", one(&cachedv1.ReadBlockRequest{Id: id, Offset: 300_000}), false},
		"bad cause":        {"", one(&cachedv1.ReadBlockRequest{Id: id, Context: &cachedv1.CallContext{Cause: 9}}), false},
		"bad timeout":      {"Grpc-Timeout: soon", whole, false},
		"no unit":          {"Grpc-Timeout: 5", whole, false},
		"timeout too long": {"Grpc-Timeout: 123456789n", whole, false},
		"for ever":         {"Grpc-Timeout: 99999999H", whole, false},
		"unknown encoding": {"Grpc-Encoding: br", whole, false},
		"gzip":             {"Grpc-Encoding: gzip", whole, false},
		"json":             {"Content-Type: application/grpc+json", envelope(0, []byte(`{"id":"`+id+`"}`)), false},
		"compressed flag":  {"", envelope(1, []byte(whole[grpcPrefix:])), false},
		"unknown flag":     {"", envelope(4, []byte(whole[grpcPrefix:])), false},
		"nothing":          {"", "", false},
		"no message":       {"", envelope(0, nil), false},
		"half a prefix":    {"", whole[:3], false},
		"half a message":   {"", whole[:20], false},
		"two messages":     {"", whole + whole, false},
		"not a message":    {"", envelope(0, []byte{0xff, 0xff}), false},
		"not text":         {"", envelope(0, []byte{10, 1, 0xff}), false},
		"long":             {"", one(&cachedv1.ReadBlockRequest{Id: strings.Repeat("x", 5000)}), false},
		"too long":         {"", one(&cachedv1.ReadBlockRequest{Id: strings.Repeat("x", maxRequest)}), false},
	} {
		t.Run(name, func(t *testing.T) {
			header := http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}}
			if field, value, ok := strings.Cut(tt.header, ": "); ok {
				header.Set(field, value)
			}
			got, want := postGRPC(t, ours, header, strings.NewReader(tt.body)), postGRPC(t, theirs, header, strings.NewReader(tt.body))
			if got.status != want.status || !maps.EqualFunc(got.header, want.header, equalValues) || !maps.EqualFunc(got.trailer, want.trailer, equalValues) {
				t.Errorf("got  %d %v %v\nwant %d %v %v", got.status, got.header, got.trailer, want.status, want.header, want.trailer)
			}
			const idFirst = 2<<3 | 2 // connect-go writes the content first
			if lean := len(got.message) > grpcPrefix && got.message[grpcPrefix] == idFirst; lean != tt.lean {
				t.Errorf("answered without connect-go: %t", lean)
			}
			if len(got.message) != len(want.message) || len(want.message) == 0 {
				if len(got.message) != len(want.message) {
					t.Errorf("%d bytes, want %d", len(got.message), len(want.message))
				}
				return
			}
			if string(got.message[:grpcPrefix]) != string(want.message[:grpcPrefix]) {
				t.Errorf("prefix % x, want % x", got.message[:grpcPrefix], want.message[:grpcPrefix])
			}
			if tt.header == "Content-Type: application/grpc+json" {
				return
			}
			var a, b cachedv1.ReadBlockResponse
			if err := proto.Unmarshal(got.message[grpcPrefix:], &a); err != nil {
				t.Fatal(err)
			}
			if err := proto.Unmarshal(want.message[grpcPrefix:], &b); err != nil || !proto.Equal(&a, &b) {
				t.Errorf("the messages differ: %v", err)
			}
		})
	}
}

func equalValues(a, b []string) bool { return strings.Join(a, "\n") == strings.Join(b, "\n") }

func TestGRPCReadsAnEmptyBlock(t *testing.T) {
	b := blocktest.Block(1, 0)
	defer b.Release()
	conn := grpcConn(t, serve(t, Services{Blocks: inMemory(b)}, Options{}))
	var resp cachedv1.ReadBlockResponse
	if err := conn.Invoke(t.Context(), readBlockPath, readRequestFor(b), &resp); err != nil || len(resp.Content) > 0 || resp.BlockLength > 0 || resp.Id != b.ID().String() {
		t.Errorf("%v, %v", &resp, err)
	}
}

// A call that ends before its block is there gives back its place and says why.
func TestGRPCCallsEndWithTheirClients(t *testing.T) {
	started := make(chan struct{})
	reader := block.ReaderFunc(func(ctx context.Context, id block.ID) (block.Block, error) {
		if block.CallFrom(ctx).Workload == "quick" {
			return block.Block{}, block.ErrNotFound
		}
		started <- struct{}{}
		<-ctx.Done()
		return block.Block{}, ctx.Err()
	})
	conn := grpcConn(t, serve(t, Services{Blocks: reader}, Options{MaxInFlight: 1}))
	invoke := func(ctx context.Context, workload string) codes.Code {
		return status.Code(conn.Invoke(ctx, readBlockPath, &cachedv1.ReadBlockRequest{
			Id: block.Sum(nil).String(), Context: &cachedv1.CallContext{Workload: workload},
		}, new(cachedv1.ReadBlockResponse)))
	}
	for want, begin := range map[codes.Code]func() (context.Context, context.CancelFunc){
		codes.Canceled: func() (context.Context, context.CancelFunc) { return context.WithCancel(t.Context()) },
		codes.DeadlineExceeded: func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(t.Context(), 30*time.Millisecond)
		},
	} {
		ctx, cancel := begin()
		done := make(chan codes.Code, 1)
		go func() { done <- invoke(ctx, "") }()
		<-started
		if want == codes.Canceled {
			cancel()
		}
		if got := <-done; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		cancel()
		waitFor(t, "the place to be free again", func() bool { return invoke(t.Context(), "quick") == codes.NotFound })
	}
}
