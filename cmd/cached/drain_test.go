package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	connectrpc "connectrpc.com/connect"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/api/cachedv1/cachedv1connect"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
)

// TestSIGTERMFailsNoReadInProgress stops a daemon under load. A read that finds
// nobody listening any more came too late; any other failure is a read that was
// broken off.
func TestSIGTERMFailsNoReadInProgress(t *testing.T) {
	rounds := 3
	switch {
	case figure.Instrumented:
		rounds = 1
	case figure.Full():
		rounds = 20
	}
	broken := 0
	for range rounds {
		broken += drainUnderLoad(t)
	}
	figure.Report(t, "serve.drain_broken_reads", float64(broken), "reads")
	if broken > 0 {
		t.Errorf("%d reads were broken off", broken)
	}
}

// drainUnderLoad keeps cold reads in progress, more distinct blocks than fit in
// L1 with no L2 below, through the raw client and through gRPC.
func drainUnderLoad(t *testing.T) int {
	dir := t.TempDir()
	ids := fillFolder(t, filepath.Join(dir, "origin"), 200)
	d := startTestDaemon(t, "--data-dir", dir, "--l1-size", "16MiB", "--l2-size", "0")
	grpc := grpcReader(t, d.client.URL())
	raw := func(id block.ID) error {
		b, err := d.client.ReadBlock(context.Background(), id)
		if err == nil {
			b.Release()
		} else if !errors.Is(err, block.ErrUnavailable) {
			return fmt.Errorf("a daemon that is gone must be unavailable: %v", err) //nolint:errorlint // hides the cause: this is a broken read
		}
		return err
	}
	var served, servedByGRPC, broken atomic.Int64
	warm := make(chan struct{})
	var once sync.Once
	var wg sync.WaitGroup
	for w := range 16 {
		read, count := raw, &served
		if w%2 == 1 {
			read, count = grpc, &servedByGRPC
		}
		wg.Go(func() {
			for i := w * len(ids) / 16; ; i++ {
				err := read(ids[i%len(ids)])
				if err == nil {
					count.Add(1)
					if served.Load() >= 200 && servedByGRPC.Load() >= 200 {
						once.Do(func() { close(warm) })
					}
					continue
				}
				if !errors.Is(err, syscall.ECONNREFUSED) {
					broken.Add(1)
					t.Logf("broken read: %v", err)
				}
				return
			}
		})
	}
	<-warm
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	return int(broken.Load())
}

// grpcReader reads blocks as any gRPC client does.
func grpcReader(t *testing.T, url string) func(block.ID) error {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	rpc := cachedv1connect.NewBlockServiceClient(&http.Client{Transport: transport}, url, connectrpc.WithGRPC())
	return func(id block.ID) error {
		resp, err := rpc.ReadBlock(context.Background(), &cachedv1.ReadBlockRequest{Id: id.String()})
		if err == nil && block.Sum(resp.GetContent()) != id {
			return fmt.Errorf("gRPC: wrong bytes for %s", id)
		}
		return err
	}
}
