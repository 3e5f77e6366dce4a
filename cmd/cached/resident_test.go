package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/figure"
)

// residentOverhead is what the daemon may use beside 1.25 times its L1 budget.
const residentOverhead = 128 << 20

// TestResidentMemoryStaysWithinBudget churns an origin several times the size of
// L1 through a real daemon and looks at what the kernel says was resident at most.
func TestResidentMemoryStaysWithinBudget(t *testing.T) {
	budget, blocks, rounds := int64(64<<20), 600, 1
	switch {
	case figure.Instrumented: // for its races and leaks only
		blocks = 60
	case figure.Full():
		budget, blocks, rounds = 256<<20, 8000, 2
	}
	dir := t.TempDir()
	ids := fillFolder(t, filepath.Join(dir, "origin"), blocks)
	d := startTestDaemon(t, "--data-dir", dir, "--l1-size", fmt.Sprint(budget), "--l2-size", "512MiB", "--l2-min-free", "0")

	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 1))
			for range rounds * len(ids) {
				readAndRelease(t, d.client, ids[rnd.IntN(len(ids))])
			}
		})
	}
	wg.Wait()
	peak := residentPeak(t, d.cmd.Process.Pid)
	allowed := budget + budget/4 + residentOverhead
	figure.Report(t, "serve.resident_peak_of_allowed", float64(peak)/float64(allowed), "x")
	figure.Report(t, "serve.resident_peak_mib", float64(peak)/(1<<20), "MiB")
	if peak > allowed && !figure.Instrumented {
		t.Errorf("the daemon had %d MiB resident, allowed are %d (L1 %d MiB + 25 %% + 128 MiB)", peak>>20, allowed>>20, budget>>20)
	}
	checkBooks(t, d.client)
}

func readAndRelease(t *testing.T, r block.Reader, id block.ID) {
	t.Helper()
	b, err := r.ReadBlock(context.Background(), id)
	if err != nil {
		t.Errorf("read %s: %v", id, err)
		return
	}
	b.Release()
}

// fillFolder makes an origin of random blocks of 64 to 512 KiB, without an image.
func fillFolder(t *testing.T, dir string, n int) []block.ID {
	t.Helper()
	rnd := rand.New(rand.NewPCG(7, 7))
	ids := make([]block.ID, n)
	for i := range ids {
		p := blocktest.Bytes(uint64(i), 64<<10+rnd.IntN(448<<10))
		ids[i] = block.Sum(p)
		file := filepath.Join(dir, "blocks", ids[i].Hex()[:2], ids[i].Hex())
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, p, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

// residentPeak returns the most memory the process has had resident.
func residentPeak(t *testing.T, pid int) int64 {
	t.Helper()
	doc, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(doc)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no VmHWM in /proc")
	return 0
}

// startTestDaemon runs this test binary as `cached serve`; it is stopped, and must
// stop well, when the test ends.
func startTestDaemon(t *testing.T, args ...string) *demoDaemon {
	t.Helper()
	d, err := startDemoDaemon(t.Context(), "cached", args...)
	return stopInTheEnd(t, d, err)
}

func stopInTheEnd(t *testing.T, d *demoDaemon, err error) *demoDaemon {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// checkBooks fails the test unless the daemon's ledger balances.
func checkBooks(t *testing.T, client *api.Client) statsReport {
	t.Helper()
	l, err := client.Ledger(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return balanced(t, l)
}

// balanced fails the test unless the ledger balances, with nothing in flight.
func balanced(t *testing.T, l *cachedv1.Ledger) statsReport {
	t.Helper()
	r := newStatsReport(l)
	var blocks, bytes uint64
	for _, row := range r.Rows {
		blocks += row.Blocks
		bytes += row.Bytes
	}
	if r.Imbalance != "" || blocks+r.Errors != r.Total.Blocks || bytes != r.Total.Bytes || r.InFlight != 0 {
		t.Errorf("the books do not balance: %+v", r)
	}
	return r
}
