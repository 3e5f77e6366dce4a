package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
)

// TestProveRestartServesAtOnce fills the L2 of a daemon, restarts it without its
// origin's blocks, and takes the time from exec to the first block by RPC.
func TestProveRestartServesAtOnce(t *testing.T) {
	size := int64(256 << 20)
	switch {
	case figure.Instrumented: // for its races and leaks only
		size = 64 << 20
	case figure.Full():
		size = 4 << 30
	}
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	// A quarter more than fits: the tier is full when the last is written.
	ids := fillFolder(t, origin, int(size/4*5/(288<<10)))
	args := []string{"--data-dir", dir, "--l1-size", "0", "--l2-size", fmt.Sprint(size), "--l2-min-free", "0"}
	d := startTestDaemon(t, args...)
	for _, id := range ids {
		readAndRelease(t, d.client, id)
	}
	full := func() bool {
		for _, tier := range checkBooks(t, d.client).Tiers {
			if tier.Tier == block.Disk.String() {
				return tier.Used >= tier.Capacity*3/4
			}
		}
		return false
	}
	for range 10 {
		if full() {
			break
		}
		for _, id := range ids { // a busy disk has declined some of them
			readAndRelease(t, d.client, id)
		}
	}
	if !full() {
		t.Error("L2 is not full, though all was read again and again")
	}
	id := ids[len(ids)-1]
	for from := block.Unknown; from != block.Disk; { // until L2 has not declined it
		b := firstBlock(t, d.client, id)
		from = b.From
		b.Release()
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(origin, "blocks")); err != nil {
		t.Fatal(err)
	}

	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	admin, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	client := connect(t, address)
	cmd := exec.Command("cached", append([]string{"serve", "--listen", address, "--admin", admin}, args...)...)
	d = &demoDaemon{cmd: cmd, exited: make(chan error, 1)}
	cmd.Stdout, cmd.Stderr = &d.log, &d.log
	start := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.exited <- cmd.Wait() }()
	defer func() {
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	}()
	first := firstBlock(t, client, id)
	took := time.Since(start)
	defer first.Release()
	if first.From != block.Disk || block.Sum(first.Bytes()) != id {
		t.Errorf("the first block is %s from %s, want %s from L2", block.Sum(first.Bytes()), first.From, id)
	}
	figure.Report(t, "serve.restart.first_block_s", took.Seconds(), "s")
}

// firstBlock asks until somebody listens.
func firstBlock(t *testing.T, client block.Reader, id block.ID) block.Block {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		b, err := client.ReadBlock(ctx, id)
		if err == nil {
			return b
		}
		select {
		case <-ctx.Done():
			t.Fatalf("no block within %s: %v", startTimeout, err)
		case <-time.After(2 * time.Millisecond):
		}
	}
}
