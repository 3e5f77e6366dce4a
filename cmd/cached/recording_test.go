package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/zonecache/cached/agent"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/rate"
)

// TestProveRecordingCost reads a block out of L1 of a daemon that records a start of
// its image, beside one that learns nothing.
func TestProveRecordingCost(t *testing.T) {
	b := blocktest.Block(1, 64<<10)
	defer b.Release()
	origin := filepath.Join(t.TempDir(), "origin")
	publishFile(t, origin, "app", 30_000_000)
	recording := startNodeOf(t, b, func(c *Config) { c.Origins = []string{fileURL(origin)} })
	off := startNodeOf(t, b, func(c *Config) { c.Origins, c.Prefetch = []string{fileURL(origin)}, false })
	client := connect(t, recording)
	img, err := agent.Open(t.Context(), agent.Options{Image: "app", Workload: "serve", Daemon: client, Ahead: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	// Something new now and then, so that the start does not count as over.
	stop, done := make(chan struct{}), make(chan struct{})
	defer func() { close(stop); <-done }()
	go func() {
		defer close(done)
		p := make([]byte, 1)
		for off := int64(0); ; off += 500_000 {
			if _, err := img.ReadAtContext(t.Context(), p, off); err != nil {
				t.Error(err)
			}
			select {
			case <-stop:
				return
			case <-time.After(time.Second):
			}
		}
	}()
	ref := img.Manifest().Blocks[0]
	path := "/cached.v1.BlockService/ReadBlock?encoding=raw&image=app&workload=serve&id=" + ref.ID.String()
	readAndRelease(t, client, ref.ID)
	readAndRelease(t, connect(t, off), ref.ID)
	rates := rate.Compare(t, []rate.Side{
		rate.HTTP("recording", recording, path, int(ref.Stored)), rate.HTTP("off", off, path, int(ref.Stored)),
	})
	figure.Report(t, "prefetch.recording.l1_rate_vs_off", rate.Ratio(rates, "recording", "off"), "x")
	figure.Report(t, "prefetch.recording.block_kib", float64(ref.Stored)/1024, "KiB")
}
