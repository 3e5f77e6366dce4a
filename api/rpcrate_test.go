package api

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/api/cachedv1/cachedv1connect"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/rate"
)

// TestProveGRPCRate measures ReadBlock over gRPC beside grpc-go serving the
// same message, both read by their own client, and both by grpc-go's.
func TestProveGRPCRate(t *testing.T) {
	b := blocktest.Block(1, 256<<10)
	defer b.Release()
	ours, theirs := serve(t, Services{Blocks: inMemory(b)}, Options{}), grpcServer(t, b)
	rates := rate.Compare(t, []rate.Side{
		connectSide(t, "connect", ours, b), grpcGoSide("grpc-go", theirs, b),
		grpcGoSide("mixed", ours, b), connectSide(t, "mixed back", theirs, b),
	})
	figure.Report(t, "api.grpc.vs_grpcgo", rate.Ratio(rates, "connect", "grpc-go"), "x")
	figure.Report(t, "api.grpc.server_vs_grpcgo", rate.Ratio(rates, "mixed", "grpc-go"), "x")
	figure.Report(t, "api.grpc.gbps", rate.Median(rates["connect"])/1e9, "GB/s")
}

func readRequestFor(b block.Block) *cachedv1.ReadBlockRequest {
	return &cachedv1.ReadBlockRequest{Id: b.ID().String()}
}

func checkContent(resp *cachedv1.ReadBlockResponse, b block.Block) error {
	if len(resp.Content) != b.Len() {
		return fmt.Errorf("%d bytes, want %d", len(resp.Content), b.Len())
	}
	return nil
}

func connectSide(tb testing.TB, name, url string, b block.Block) rate.Side {
	return rate.Side{Name: name, Size: b.Len(), Open: func(testing.TB) func() error {
		hc := h2cClient(tb, TunedHTTP2())
		rpc := cachedv1connect.NewBlockServiceClient(hc, url, connect.WithGRPC(), connect.WithAcceptCompression("gzip", nil, nil))
		return func() error {
			resp, err := rpc.ReadBlock(context.Background(), readRequestFor(b))
			if err != nil {
				return err
			}
			return checkContent(resp, b)
		}
	}}
}

func grpcGoSide(name, url string, b block.Block) rate.Side {
	return rate.Side{Name: name, Size: b.Len(), Open: func(tb testing.TB) func() error {
		conn := grpcConn(tb, url)
		return func() error {
			var resp cachedv1.ReadBlockResponse
			if err := conn.Invoke(context.Background(), readBlockPath, readRequestFor(b), &resp); err != nil {
				return err
			}
			return checkContent(&resp, b)
		}
	}}
}

// grpcServer serves ReadBlock by grpc-go in the same way: one block in memory.
func grpcServer(tb testing.TB, b block.Block) string {
	reader := inMemory(b)
	s := grpc.NewServer()
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "cached.v1.BlockService", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "ReadBlock", Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var req cachedv1.ReadBlockRequest
			if err := decode(&req); err != nil {
				return nil, err
			}
			id, err := block.ParseID(req.Id)
			if err != nil {
				return nil, err
			}
			got, err := reader.ReadBlock(ctx, id)
			if err != nil {
				return nil, err
			}
			defer got.Release() // the test's own reference keeps the bytes
			return &cachedv1.ReadBlockResponse{Content: got.Bytes(), Id: req.Id, Tier: TierToProto(got.From), BlockLength: uint64(got.Len())}, nil
		}}},
	}, struct{}{})
	l := listen(tb)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	tb.Cleanup(func() {
		s.Stop()
		<-done
	})
	return "http://" + l.Addr().String()
}

// TestProveServerAllocations counts what the server allocates for a raw read,
// which must not depend on the block's size. The reading side allocates nothing.
func TestProveServerAllocations(t *testing.T) {
	count := func(size int, name string) (allocs, bytes float64) {
		b := blocktest.Block(1, size)
		defer b.Release()
		allocs, bytes = allocations(t, 500, cachedSide(t, b).Open(t))
		if allocs > 10 {
			t.Errorf("%d bytes: %.1f allocations a read, want at most 10", size, allocs)
		}
		figure.Report(t, name, allocs, "allocs/op")
		return allocs, bytes
	}
	allocs, bytes := count(256<<10, "api.raw.server_allocs_256k")
	allocs2, bytes2 := count(512<<10, "api.raw.server_allocs_512k")
	figure.Report(t, "api.raw.server_allocs_growth", math.Abs(allocs2-allocs), "allocs/op")
	figure.Report(t, "api.raw.server_alloc_bytes_growth", bytes2-bytes, "B/op")
	if bytes2-bytes > 4096 && !figure.Instrumented {
		t.Errorf("a read of twice the size allocates %.0f bytes instead of %.0f", bytes2, bytes)
	}
}

// allocations returns the mean number of allocations, and their bytes, in the
// whole process for one call of read.
func allocations(t *testing.T, n int, read func() error) (count, bytes float64) {
	t.Helper()
	runtime.GC() // now, rather than in the middle
	var before, after runtime.MemStats
	for i := range n + 50 {
		if i == 50 {
			runtime.ReadMemStats(&before)
		}
		if err := read(); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	per := 1 / float64(n)
	return float64(after.Mallocs-before.Mallocs) * per, float64(after.TotalAlloc-before.TotalAlloc) * per
}

// TestProveGRPCCost measures the processor's time for the same reads, which a
// busy machine disturbs less than their rate. It is both ends'.
func TestProveGRPCCost(t *testing.T) {
	if raceDetector {
		t.Skip("costs mean nothing under the race detector")
	}
	b := blocktest.Block(1, 256<<10)
	defer b.Release()
	ours, theirs := serve(t, Services{Blocks: inMemory(b)}, Options{}), grpcServer(t, b)
	rounds, span := 3, 50*time.Millisecond
	if figure.Full() {
		rounds, span = 15, 300*time.Millisecond
	}
	sides := []rate.Side{connectSide(t, "connect", ours, b), grpcGoSide("grpc-go", theirs, b), grpcGoSide("mixed", ours, b)}
	costs := processorTimes(t, sides, rounds, span)
	figure.Report(t, "api.grpc.cpu_vs_grpcgo", rate.Ratio(costs, "connect", "grpc-go"), "x")
	figure.Report(t, "api.grpc.server_cpu_vs_grpcgo", rate.Ratio(costs, "mixed", "grpc-go"), "x")
	figure.Report(t, "api.grpc.cpu", rate.Median(costs["connect"]), "s/GB")
}

// processorTimes returns the seconds of both ends for each GB, round by round.
func processorTimes(t *testing.T, sides []rate.Side, rounds int, span time.Duration) map[string][]float64 {
	t.Helper()
	reads, costs := map[string][]func() error{}, map[string][]float64{}
	for _, s := range sides {
		for range rate.Clients {
			reads[s.Name] = append(reads[s.Name], s.Open(t))
		}
		rate.Measure(t, s, reads[s.Name], span)
	}
	for range rounds {
		for _, s := range sides {
			start, used := time.Now(), processorTime(t)
			perSecond := rate.Measure(t, s, reads[s.Name], span)
			moved := perSecond * time.Since(start).Seconds()
			costs[s.Name] = append(costs[s.Name], (processorTime(t)-used).Seconds()/(moved/1e9))
		}
	}
	return costs
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
