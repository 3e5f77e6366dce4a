package main

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/zonecache/cached/agent"
	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/internal/figure"
)

// eventually calls look until it says that it is so.
func eventually(t *testing.T, what string, look func() bool) {
	t.Helper()
	for late := time.After(20 * time.Second); !look(); {
		select {
		case <-late:
			t.Fatalf("it never is so: %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// A program that reads the same places of an image at each start.
type reading struct {
	workload string
	offsets  []int64
}

func newReading(workload string, seed uint64, size, n int) reading {
	r := reading{workload: workload}
	rng := rand.New(rand.NewPCG(seed, 1))
	for range n {
		r.offsets = append(r.offsets, rng.Int64N(int64(size-100)))
	}
	return r
}

// start runs the program once, beginning when begin says so, and returns what
// became of reading ahead, once it is over.
func (r reading) start(t *testing.T, d *demoDaemon, image string, want []byte, begin func(*cachedv1.PrefetchLedger) bool) *cachedv1.PrefetchLedger {
	t.Helper()
	img := r.open(t, d, image)
	eventually(t, "the program may begin", func() bool { return begin(prefetchLedger(t, d.client)) })
	r.run(t, img, want)
	return prefetchLedger(t, d.client)
}

func (r reading) open(t *testing.T, d *demoDaemon, image string) *agent.Image {
	t.Helper()
	img, err := openImage(t.Context(), agent.Options{Image: image, Workload: r.workload, Daemon: d.client})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func (r reading) run(t *testing.T, img *agent.Image, want []byte) {
	t.Helper()
	p := make([]byte, 100)
	for _, off := range r.offsets {
		if _, err := img.ReadAtContext(t.Context(), p, off); err != nil || !bytes.Equal(p, want[off:off+100]) {
			t.Fatalf("100 bytes at %d: %v", off, err)
		}
	}
	if err := img.MarkReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := img.Close(); err != nil {
		t.Fatal(err)
	}
}

func prefetchLedger(t *testing.T, client *api.Client) *cachedv1.PrefetchLedger {
	t.Helper()
	l, err := client.Ledger(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return l.GetPrefetch()
}

func atOnce(*cachedv1.PrefetchLedger) bool { return true }

// pending says that so many blocks have been read ahead.
func pending(n uint64) func(*cachedv1.PrefetchLedger) bool {
	return func(p *cachedv1.PrefetchLedger) bool { return p.GetPending().GetBlocks() >= n }
}

// What a start has read on one host is read ahead of the next one on another.
func TestAFreshHostReadsAheadWhatAnotherHasLearned(t *testing.T) {
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	const size = 40_000_000
	want := publishFile(t, origin, "app", size)
	serve := func(name string, args ...string) *demoDaemon {
		return startTestDaemon(t, append([]string{"--data-dir", filepath.Join(dir, name), "--origin", "file://" + origin, "--l2-size", "0", "--l1-size", "256MiB"}, args...)...)
	}
	program := newReading("serve", 1, size, 40)
	first := serve("first")
	if p := program.start(t, first, "app", want, atOnce); p.GetUsed().GetBlocks()+p.GetWasted().GetBlocks() != 0 {
		t.Errorf("the first start: %v", p)
	}
	eventually(t, "the profile and the pack are in the origin", func() bool {
		profiles, _ := filepath.Glob(filepath.Join(origin, "profiles", "named", "app", "*"))
		packs, _ := filepath.Glob(filepath.Join(origin, "packs", "*", "*"))
		return len(profiles) == 1 && len(packs) == 1
	})

	second := serve("second")
	var asked uint64 // of the origin, when all is here that is read ahead
	all := uint64(len(distinct(t, second, "app", program.offsets)))
	p := program.start(t, second, "app", want, func(p *cachedv1.PrefetchLedger) bool {
		l, err := second.client.Ledger(t.Context())
		asked = l.GetOriginReads().GetBlocks()
		return err == nil && p.GetPending().GetBlocks() == all && l.GetInFlight() == 0
	})
	if len(p.GetWorkloads()) != 1 {
		t.Fatalf("%v", p)
	}
	w := p.GetWorkloads()[0]
	figure.Report(t, "serve.learned.recall", w.GetRecall(), "share")
	figure.Report(t, "serve.learned.precision", w.GetPrecision(), "share")
	if p.GetUsed().GetBlocks() != all || w.GetRecall() < 0.95 || w.GetPrecision() < 0.95 || p.GetPending().GetBlocks() != 0 || w.GetWorkload() != "serve" || w.GetImage() != "app" {
		t.Errorf("the second start: %v", p)
	}
	// The origin was asked for parts that hold several blocks each, what they consist
	// of and the profile.
	figure.Report(t, "serve.learned.origin_reads_per_block", float64(asked)/float64(all), "reads")
	if asked > all/2 {
		t.Errorf("%d origin reads for %d blocks", asked, all)
	}
	if r := quietBooks(t, second.client); r.ReadsPerBlock != 1 {
		t.Errorf("%.3f origin reads per block", r.ReadsPerBlock)
	}

	// Another program in the same image has nothing to go by.
	other := newReading("migrate", 2, size, 10)
	if after := other.start(t, second, "app", want, atOnce); len(after.GetWorkloads()) != 1 {
		t.Errorf("another workload: %v", after)
	}
	// A daemon that is told not to does neither.
	off := serve("off", "--prefetch=false")
	if p := program.start(t, off, "app", want, atOnce); len(p.GetWorkloads()) != 0 {
		t.Errorf("switched off: %v", p)
	}
}

// A program that reads something else than its profile says is read ahead of once.
func TestAWrongProfileIsTrustedOnce(t *testing.T) {
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	const size = 40_000_000
	want := publishFile(t, origin, "app", size)
	d := startTestDaemon(t, "--data-dir", filepath.Join(dir, "data"), "--origin", "file://"+origin, "--l2-size", "0", "--l1-size", "256MiB")
	learned := func(n uint32) {
		t.Helper()
		eventually(t, "the starts are in the profile", func() bool {
			var rows []tracedRow
			out, ok := traceCommand(t, origin, "ls", "app", "--json")
			return ok && json.Unmarshal([]byte(out), &rows) == nil && len(rows) == 1 && rows[0].Starts == n
		})
	}
	for i := range 2 {
		newReading("serve", 1, size, 60).start(t, d, "app", want, atOnce)
		learned(uint32(i) + 1)
	}
	other := newReading("serve", 2, size, 5)
	first := other.start(t, d, "app", want, pending(20))
	learned(3)
	second := other.start(t, d, "app", want, atOnce)
	if wasted := first.GetWasted().GetBlocks(); wasted < 15 || second.GetWasted().GetBlocks() != wasted {
		t.Errorf("wasted %d blocks, and then %d more", wasted, second.GetWasted().GetBlocks()-wasted)
	}
}

// quietBooks is checkBooks once nothing is in flight: what was read ahead of a start
// that has ended, or is laid together after it, may be for a moment.
func quietBooks(t *testing.T, client *api.Client) statsReport {
	t.Helper()
	var quiet *cachedv1.Ledger
	eventually(t, "nothing is in flight", func() bool {
		l, err := client.Ledger(t.Context())
		quiet = l
		return err == nil && l.GetInFlight() == 0
	})
	return balanced(t, quiet)
}

// distinct returns the blocks of an image that reads at these offsets touch.
func distinct(t *testing.T, d *demoDaemon, image string, offsets []int64) map[int]bool {
	t.Helper()
	resp, err := d.client.GetImage(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	m, err := agent.ManifestFromProto(resp.GetManifest(), resp.GetManifestId())
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[int]bool{}
	for _, off := range offsets {
		first, _ := m.Locate(off)
		last, _ := m.Locate(off + 99)
		blocks[first], blocks[last] = true, true
	}
	return blocks
}

// The origin is not read again to lay together what a start has read from it.
func TestAPackIsMadeFromTheCachesOnly(t *testing.T) {
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	const size = 40_000_000
	want := publishFile(t, origin, "app", size)
	d := startTestDaemon(t, "--data-dir", filepath.Join(dir, "data"), "--origin", "file://"+origin, "--l2-size", "0", "--l1-size", "0")
	newReading("serve", 1, size, 40).start(t, d, "app", want, atOnce)
	eventually(t, "the start is learned from", func() bool {
		profiles, _ := filepath.Glob(filepath.Join(origin, "profiles", "named", "app", "*"))
		return len(profiles) == 1
	})
	if err := d.stop(); err != nil { // after what it lays together
		t.Fatal(err)
	}
	if packs, _ := filepath.Glob(filepath.Join(origin, "packs", "*", "*")); len(packs) != 0 {
		t.Errorf("made %v of blocks that its caches have not", packs)
	}
}

// A disk that takes nothing more keeps a start from nothing.
func TestAFullDiskWhileAStartIsReadAheadOf(t *testing.T) {
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	const size = 40_000_000
	want := publishFile(t, origin, "app", size)
	program := newReading("serve", 1, size, 40)
	teachPack(t, origin, program, want)
	d := startTestDaemon(t, "--data-dir", filepath.Join(dir, "data"), "--origin", "file://"+origin, "--l1-size", "64MiB", "--l2-size", "64MiB", "--l2-min-free", "1000TiB")
	needed := uint64(len(distinct(t, d, "app", program.offsets)))
	p := program.start(t, d, "app", want, pending(needed))
	if p.GetUsed().GetBlocks() != needed || p.GetWasted().GetBlocks() != 0 {
		t.Errorf("%v", p)
	}
	quietBooks(t, d.client)
}
