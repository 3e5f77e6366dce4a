package disk

import (
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/figure"
)

// cheapBlock returns a block of n bytes that costs little more than its hash.
func cheapBlock(pool *block.Pool, seed uint64, n int) block.Block {
	buf := pool.Get(n)
	p := buf.Bytes()
	clear(p)
	for i := 0; i+8 <= n; i += 4096 {
		binary.LittleEndian.PutUint64(p[i:], seed)
	}
	return buf.Seal(block.Sum(p), block.Origin)
}

// feed offers b and waits while too much is on its way, as a chain would not.
func feed(tier *Tier, b block.Block) {
	for {
		before := tier.counters.declinedFull.Load()
		_ = tier.WriteBlock(context.Background(), b)
		if tier.counters.declinedFull.Load() == before {
			return
		}
		tier.Settle()
	}
}

// diskUsage returns the bytes that the files below dir occupy.
func diskUsage(dir string) (total int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // a file that was removed meanwhile occupies nothing
		}
		if st, err := d.Info(); err == nil {
			total += st.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return nil
	})
	return total
}

// sample calls f all the time until stop is called.
func sample(f func()) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				f()
			}
		}
	}()
	return func() { close(quit); <-done }
}

// smallDisk pretends that the file system holds total bytes and nothing else.
type smallDisk struct {
	osFiles
	total int64
}

func (d smallDisk) Free(dir string) (int64, error) { return d.total - diskUsage(dir), nil }

func TestBoundsAreKeptWhileTwiceTheBudgetIsWritten(t *testing.T) {
	capacity := 64 * mib
	if figure.Full() {
		capacity = gib
	}
	tests := []struct {
		name  string
		o     Options
		limit int64
	}{
		{"capacity", Options{Capacity: capacity}, capacity},
		{"min free", Options{Capacity: 4 * capacity, MinFree: capacity, files: smallDisk{total: 2 * capacity}}, capacity},
	}
	worst := 0.0
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := tt.o
			o.Dir = t.TempDir()
			o.FlushEvery = 10 * time.Millisecond
			tier := open(t, o)
			var peak atomic.Int64
			stop := sample(func() { peak.Store(max(peak.Load(), diskUsage(o.Dir))) })
			rng := rand.New(rand.NewPCG(1, 1))
			var written int64
			for seed := uint64(0); written < 2*tt.limit; seed++ {
				b := cheapBlock(block.DefaultPool, seed, 1+rng.IntN(256<<10))
				feed(tier, b)
				written += int64(b.Len())
				if seed%3 == 0 {
					has(t, tier, b.ID())
				}
				b.Release()
			}
			tier.Settle()
			stop()
			ratio := float64(peak.Load()) / float64(tt.limit)
			worst = max(worst, ratio)
			if ratio > 1 {
				t.Errorf("peak %d bytes, limit %d", peak.Load(), tt.limit)
			}
			if used := tier.Used(); used < tt.limit*3/4 || used > tt.limit {
				t.Errorf("Used() = %d of %d", used, tt.limit)
			}
			if s := tier.Stats(); s.Evicted == 0 || s.Lost > 0 {
				t.Errorf("%+v", s)
			}
		})
	}
	figure.Report(t, "disk.budget.peak_ratio", worst, "x")
}

// Somebody else fills the disk: the tier gives space back.
func TestShrinksForOthers(t *testing.T) {
	disk := &faults{}
	o := Options{Dir: t.TempDir(), Capacity: 64 * mib, MinFree: 10 * mib, FlushEvery: time.Millisecond, files: disk}
	tier := open(t, o)
	write(t, tier, blocktest.Blocks(t, 1, 100, 200_000)...)
	disk.free.Store(5 * mib)
	until(t, "giving back", func() bool { return diskUsage(filepath.Join(o.Dir, segmentsName)) < 3*mib })
	offer(t, tier, blocktest.Blocks(t, 500, 20, 200_000)...)
	tier.Settle()
	if s := tier.Stats(); s.Sick != nil {
		t.Errorf("a short disk made it sick: %v", s.Sick)
	}
}

// A smaller capacity after a restart is kept at once.
func TestSmallerCapacityAfterRestart(t *testing.T) {
	o := Options{Dir: t.TempDir(), Capacity: 128 * mib, FlushEvery: time.Millisecond}
	tier := open(t, o)
	write(t, tier, blocktest.Blocks(t, 1, 400, 200_000)...)
	closeNow(t, tier)
	o.Capacity = 32 * mib
	open(t, o)
	until(t, "shrinking", func() bool { return diskUsage(o.Dir) <= o.Capacity })
}

// writeBytes returns what this process has sent to the storage layer.
func writeBytes(t testing.TB) int64 {
	p, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Skipf("%v: write amplification is read from the kernel's account of this process", err)
	}
	var rchar, wchar, syscr, syscw, rb, wb int64
	if _, err := fmt.Sscanf(string(p), "rchar: %d\nwchar: %d\nsyscr: %d\nsyscw: %d\nread_bytes: %d\nwrite_bytes: %d",
		&rchar, &wchar, &syscr, &syscw, &rb, &wb); err != nil {
		t.Fatal(err)
	}
	return wb
}

// Zipf reads of a hot set under a stream of new blocks, as in a host that
// starts known and new images: what reaches the disk beside the new bytes?
func TestWriteAmplification(t *testing.T) {
	if figure.Instrumented {
		t.Skip("measured without instrumentation")
	}
	capacity, blockSize := 64*mib, 64<<10
	if figure.Full() {
		capacity, blockSize = 2*gib, 256<<10
	}
	tier := open(t, Options{Dir: t.TempDir(), Capacity: capacity})
	blocks := int(capacity) / blockSize
	zipf := rand.NewZipf(rand.New(rand.NewPCG(2, 2)), 1.1, 8, uint64(blocks))
	var stored int64
	next := uint64(blocks)
	ids := map[uint64]block.ID{}
	run := func(volume int64) {
		target := stored + volume
		for stored < target {
			seed := zipf.Uint64()
			if rand.IntN(4) == 0 {
				next++
				seed = next // never asked for again
			}
			if id, ok := ids[seed]; ok && has(t, tier, id) {
				continue
			}
			b := cheapBlock(block.DefaultPool, seed, blockSize)
			if seed <= uint64(blocks) {
				ids[seed] = b.ID()
			}
			feed(tier, b)
			stored += int64(b.Len())
			b.Release()
		}
		tier.Settle()
	}
	run(capacity) // full, as it is for the rest of its life
	before, start := writeBytes(t), stored
	run(2 * capacity)
	amplification := float64(writeBytes(t)-before) / float64(stored-start)
	s := tier.Stats()
	t.Logf("rewritten: %.3f of what was stored", float64(s.BytesRewritten)/float64(stored))
	if amplification > 1.1 {
		t.Errorf("write amplification %.3f, want at most 1.1", amplification)
	}
	if amplification < 0.9 {
		t.Logf("the kernel counts too little here: is %s on a memory file system?", os.TempDir())
	}
	figure.Report(t, "disk.write_amplification", amplification, "x")
}
