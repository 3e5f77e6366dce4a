package main

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

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

func drainUnderLoad(t *testing.T) int {
	dir := t.TempDir()
	ids := fillFolder(t, filepath.Join(dir, "origin"), 40)
	d := startTestDaemon(t, "--data-dir", dir, "--l1-size", "16MiB", "--l2-size", "0")
	var served, broken atomic.Int64
	warm := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; ; i++ {
				b, err := d.client.ReadBlock(context.Background(), ids[i%len(ids)])
				if err == nil {
					b.Release()
					if served.Add(1) == 400 {
						close(warm)
					}
					continue
				}
				if !errors.Is(err, syscall.ECONNREFUSED) || !errors.Is(err, block.ErrUnavailable) {
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
