package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/figure"
)

const (
	childEnv   = "DISK_TEST_CHILD_DIR"
	killBlocks = 600 // more than the capacity holds, so that segments are reclaimed
)

func killSize(seed uint64) int { return 1 + int(seed*7919)%200_000 }

func killOptions(dir string) Options {
	return Options{Dir: dir, Capacity: 48 * mib, FlushEvery: 20 * time.Millisecond, Logger: quiet()}
}

// child writes and reads until it is killed. It exits by itself only when
// something is wrong, or its parent is gone.
func child(dir string) {
	tier, err := Open(killOptions(dir))
	if err != nil {
		fmt.Println("child:", err)
		os.Exit(1)
	}
	fmt.Println("open")
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for range 2 {
		go func() {
			for {
				seed := rand.Uint64N(killBlocks)
				want := blocktest.Block(seed, killSize(seed))
				if err := tier.WriteBlock(context.Background(), want); err != nil {
					fmt.Println("child:", err)
					os.Exit(1)
				}
				got, err := tier.ReadBlock(context.Background(), want.ID())
				if err == nil && !bytes.Equal(got.Bytes(), want.Bytes()) || err != nil && !errors.Is(err, block.ErrNotFound) {
					fmt.Println("child: read", seed, err)
					os.Exit(1)
				}
				got.Release()
				want.Release()
			}
		}()
	}
	select {}
}

// killOnce runs a child on dir and kills it after a random while.
func killOnce(t *testing.T, dir string, rng *rand.Rand) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	said := make([]byte, 5)
	if _, err := io.ReadFull(out, said); err != nil || string(said) != "open\n" {
		rest, _ := io.ReadAll(out)
		t.Errorf("child: %q%q, %v", said, rest, err)
	}
	kill.Reset(time.Duration(rng.IntN(int(300 * time.Millisecond))))
	rest, _ := io.ReadAll(out) // until it is dead
	if len(rest) > 0 {
		t.Errorf("child says: %s", rest)
	}
	_ = in.Close()
	_ = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Errorf("child ended by itself: %v", cmd.ProcessState)
	}
}

// A kill -9 at any moment loses at most what was not yet committed.
func TestKillAtRandomMoments(t *testing.T) {
	kills, seed := 10, uint64(time.Now().UnixNano())
	if figure.Full() {
		kills = 100
	}
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	ids := make([]block.ID, killBlocks)
	for i := range ids {
		ids[i] = block.Sum(blocktest.Bytes(uint64(i), killSize(uint64(i))))
	}
	dir := t.TempDir()
	wrong, failures, hits := 0, 0, 0
	var slowest time.Duration
	for range kills {
		killOnce(t, dir, rng)
		start := time.Now()
		tier, err := Open(killOptions(dir))
		slowest = max(slowest, time.Since(start))
		if err != nil {
			failures++
			t.Error(err)
			continue
		}
		for i, id := range ids {
			got, err := tier.ReadBlock(context.Background(), id)
			if err == nil {
				hits++
				if !bytes.Equal(got.Bytes(), blocktest.Bytes(uint64(i), killSize(uint64(i)))) {
					wrong++
				}
			} else if !errors.Is(err, block.ErrNotFound) && !errors.Is(err, block.ErrCorrupt) {
				t.Errorf("read: %v", err)
			}
			got.Release()
		}
		if s := tier.Stats(); s.Corrupt > 0 {
			t.Logf("%d entries ahead of their bytes", s.Corrupt)
		}
		closeNow(t, tier)
	}
	t.Logf("slowest Open after a kill: %v; %d hits", slowest, hits)
	if wrong > 0 || hits == 0 {
		t.Errorf("%d wrong blocks, %d hits", wrong, hits)
	}
	figure.Report(t, "disk.kill9.kills", float64(kills), "kills")
	figure.Report(t, "disk.kill9.wrong_bytes", float64(wrong), "blocks")
	figure.Report(t, "disk.kill9.open_failures", float64(failures), "opens")
}
