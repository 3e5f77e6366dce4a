package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/rate"
)

// startNode runs a whole daemon in this process, over an origin of its own that
// holds b, until the test ends. It returns the address of the RPC.
func startNode(tb testing.TB, b block.Block) string {
	tb.Helper()
	return startNodeOf(tb, b, func(*Config) {})
}

// startNodeOf is startNode with a configuration of its own.
func startNodeOf(tb testing.TB, b block.Block, edit func(*Config)) string {
	tb.Helper()
	dir := tb.TempDir()
	file := filepath.Join(dir, "origin", "blocks", b.ID().Hex()[:2], b.ID().Hex())
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		tb.Fatal(err)
	}
	cfg := Default()
	cfg.DataDir, cfg.L1.Size, cfg.L2.Size, cfg.L2.MinFree = dir, 64<<20, 64<<20, 0
	edit(&cfg)
	cfg.complete()
	if err := prepareDirs(cfg); err != nil {
		tb.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	n, err := wire(context.Background(), cfg, log)
	if err != nil {
		tb.Fatal(err)
	}
	rpc, admin := rate.Listen(tb), rate.Listen(tb)
	d, err := newDaemon(cfg, n, log, rpc.Addr().String(), admin.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	d.serveAdmin(admin)
	d.serve(rpc)
	tb.Cleanup(func() {
		if err := d.drain(10 * time.Second); err != nil {
			tb.Error(err)
		}
		<-d.failed
		<-d.failed
		if err := n.close(); err != nil {
			tb.Error(err)
		}
	})
	return rpc.Addr().String()
}

func connect(tb testing.TB, address string) *api.Client {
	tb.Helper()
	c, err := api.NewClient("http://"+address, api.ClientOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

// TestProveRawL1Rate reads a block out of L1 through everything a daemon has
// between its port and ristretto, beside servers that have it at hand.
func TestProveRawL1Rate(t *testing.T) {
	b := blocktest.Block(1, 512<<10)
	defer b.Release()
	address := startNode(t, b)
	client := connect(t, address)
	readAndRelease(t, client, b.ID()) // from the origin into L1
	ours := rate.HTTP("cached", address, "/cached.v1.BlockService/ReadBlock?encoding=raw&id="+b.ID().String(), b.Len())
	rates := rate.Compare(t, []rate.Side{ours, rate.NetHTTP(t, b), rate.Nginx(t, b)})
	figure.Report(t, "serve.raw_l1.vs_nethttp", rate.Ratio(rates, "cached", "net/http"), "x")
	figure.Report(t, "serve.raw_l1.vs_nginx", rate.Ratio(rates, "cached", "nginx"), "x")
	figure.Report(t, "serve.raw_l1.gbps", rate.Median(rates["cached"])/1e9, "GB/s")
	for _, row := range checkBooks(t, client).Rows {
		if row.Tier != block.Memory.String() && row.Blocks != 1 {
			t.Errorf("%d reads were served by %s, want all but the first by L1", row.Blocks, row.Tier)
		}
	}
}

// 64 clients, each with connections of its own, ask a daemon that holds nothing.
func TestProve64ReadersOfOneColdBlock(t *testing.T) {
	b := blocktest.Block(2, 512<<10)
	defer b.Release()
	address := startNode(t, b)
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	ready.Add(64)
	for range 64 {
		client := connect(t, address)
		done.Go(func() {
			if _, err := client.Status(context.Background()); err != nil { // connects
				t.Error(err)
			}
			ready.Done()
			<-start
			readAndRelease(t, client, b.ID())
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
	r := checkBooks(t, connect(t, address))
	figure.Report(t, "serve.origin_reads_for_64_readers", float64(r.OriginReads), "reads")
	if r.OriginReads != 1 || r.Total.Blocks != 64 {
		t.Errorf("%d requests caused %d origin reads, want 64 and 1", r.Total.Blocks, r.OriginReads)
	}
}
