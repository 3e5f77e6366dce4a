package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
)

// TestSIGTERMInAZoneFailsNoReadOfOthers stops one of three daemons while programs
// read on all hosts: the others' reads, of which it serves a third, go on.
func TestSIGTERMInAZoneFailsNoReadOfOthers(t *testing.T) {
	rounds := 1
	if figure.Full() {
		rounds = 5
	}
	broken := 0
	for _, distribution := range []string{distributeRedirect, distributeTree} {
		t.Run(distribution, func(t *testing.T) {
			for range rounds {
				broken += leaveUnderLoad(t, distribution)
			}
		})
	}
	figure.Report(t, "serve.zone_drain_broken_reads", float64(broken), "reads")
	if broken > 0 {
		t.Errorf("%d reads were broken off", broken)
	}
}

// startZone starts daemons that are a zone of their own and returns when all see
// each other. None keeps anything: reads of blocks that others own go to them.
func startZone(t *testing.T, nodes int, origin, distribution string) []*demoDaemon {
	t.Helper()
	var daemons []*demoDaemon
	var seeds []string
	for i := range nodes {
		var addrs [2]string
		for k := range addrs {
			addr, err := freeAddress()
			if err != nil {
				t.Fatal(err)
			}
			addrs[k] = addr
		}
		args := []string{
			"--data-dir", t.TempDir(), "--origin", "file://" + origin, "--l1-size", "0", "--l2-size", "0",
			"--zone", "drain", "--node", fmt.Sprintf("n%d", i), "--zone-insecure", "--distribution", distribution,
			"--peer-listen", addrs[0], "--gossip", addrs[1],
		}
		daemons = append(daemons, startTestDaemon(t, append(args, seeds...)...))
		seeds = append(seeds, "--seed", addrs[1])
	}
	for deadline := time.Now().Add(time.Minute); ; {
		whole := 0
		for _, d := range daemons {
			s, err := d.client.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			shares := 0
			for _, p := range s.GetZone().GetPeers() {
				if p.GetShare() > 0 {
					shares++
				}
			}
			if shares == nodes {
				whole++
			}
		}
		if whole == nodes {
			return daemons
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d nodes see the zone", whole, nodes)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// leaveUnderLoad ends one of three daemons amid reads, and returns how many reads
// of the others failed.
func leaveUnderLoad(t *testing.T, distribution string) int {
	t.Helper()
	origin := filepath.Join(t.TempDir(), "origin")
	ids := fillFolder(t, origin, 60)
	daemons := startZone(t, 3, origin, distribution)
	leaver, stay := daemons[2], daemons[:2]
	var served, fromPeers, broken atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 8 {
		d := stay[w%len(stay)]
		wg.Go(func() {
			for i := w * len(ids) / 8; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				// An image makes the reads the tree's where there is one.
				ctx := block.WithCall(context.Background(), block.Call{Image: "app:v1"})
				b, err := d.client.ReadBlock(ctx, ids[i%len(ids)])
				if err != nil {
					if broken.Add(1) <= 5 {
						t.Logf("broken read: %v", err)
					}
					continue
				}
				served.Add(1)
				if b.From == block.Peer {
					fromPeers.Add(1)
				}
				b.Release()
			}
		})
	}
	more := func(n int64) { // waits until so many reads more have come from peers
		t.Helper()
		want, deadline := fromPeers.Load()+n, time.Now().Add(time.Minute)
		for fromPeers.Load() < want {
			if time.Now().After(deadline) {
				t.Errorf("%d of %d reads came from peers, want %d", fromPeers.Load(), served.Load(), want)
				return
			}
			<-time.After(5 * time.Millisecond)
		}
	}
	more(100)
	if err := leaver.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := <-leaver.exited
	leaver.exited <- err
	if err != nil {
		t.Errorf("the daemon that left ended badly: %v", err)
	}
	more(100) // without it
	close(stop)
	wg.Wait()
	t.Logf("%s: %d reads, %d from peers, %d broken", distribution, served.Load(), fromPeers.Load(), broken.Load())
	return int(broken.Load())
}
