package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/loadtest/hitrate/product"
)

func TestMain(m *testing.M) { blocktest.Main(m) }

func called(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if err := run(args, &out, &out); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, &out)
	}
	return out.String()
}

func rateOf(t *testing.T, c *comparison, name string, percent float64) rate {
	t.Helper()
	for _, r := range c.Rates {
		if r.Policy == name && (r.Percent == percent || r.Percent == 0) {
			return r
		}
	}
	t.Fatalf("no rate of %s at %g %%", name, percent)
	return rate{}
}

// The recorded starts through every policy: none has more hits than there are to have,
// and the product's tiers have more than LRU where it matters.
func TestRecordedStarts(t *testing.T) {
	if figure.Instrumented {
		t.Skip("measured without instrumentation")
	}
	o, err := parse([]string{"-sizes", "20,50", "recorded"}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := o.compare("recorded")
	if err != nil {
		t.Fatal(err)
	}
	for _, percent := range o.sizes {
		all, best := rateOf(t, c, "all", percent), rateOf(t, c, "Belady", percent)
		for _, name := range []string{"LRU", "2Q", "S3-FIFO", "W-TinyLFU", "L1"} {
			r := rateOf(t, c, name, percent)
			if !(r.Hits > 0 && r.Hits < best.Hits && best.Hits < all.Hits && r.Bytes > 0 && r.Bytes < all.Bytes) {
				t.Errorf("%s at %g %%: %+v, Belady %+v, all %+v", name, percent, r, best, all)
			}
			figure.Report(t, strings.ToLower("hitrate.recorded."+name+"."+map[float64]string{20: "20", 50: "50"}[percent]), r.Hits, "hits/read")
		}
	}
	if l1, lru := rateOf(t, c, "L1", 50), rateOf(t, c, "LRU", 50); l1.Hits <= lru.Hits {
		t.Errorf("L1 has %.3f, LRU %.3f", l1.Hits, lru.Hits)
	}
}

// A miss that the daemon's chain looks for twice, before a flight and in it, is one use:
// what is missed would otherwise seem used more than what is held.
func TestAMissIsOneUse(t *testing.T) {
	if figure.Instrumented {
		t.Skip("measured without instrumentation")
	}
	o, err := parse([]string{"recorded"}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	reads, _, err := o.source("recorded")
	if err != nil {
		t.Fatal(err)
	}
	_, distinct := reads.Distinct()
	hits := func(share int64, again bool) float64 {
		c, err := product.NewL1(distinct / share)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		n := 0
		for i, id := range reads.IDs {
			if again && c.Look(id) {
				n++
				continue
			}
			if c.Access(id, reads.Sizes[i]) {
				n++
			}
		}
		return float64(n) / float64(len(reads.IDs))
	}
	if figure.Full() {
		for _, share := range []int64{10, 2} {
			t.Logf("room for %d %%: hit rate %.3f where a miss is two uses, %.3f where it is one", 100/share, hits(share, true), hits(share, false))
		}
	}
	twice, once := hits(5, true), hits(5, false)
	if once <= twice {
		t.Errorf("hit rate %.3f where a miss is one use, %.3f where it is two", once, twice)
	}
	figure.Report(t, "hitrate.l1.miss_is_two_uses", twice, "hits/read")
	figure.Report(t, "hitrate.l1.miss_is_one_use", once, "hits/read")
}

// Public traces are read from files, sizes above a block in pieces.
func TestPublicTraces(t *testing.T) {
	testdata := filepath.Join("..", "workload", "testdata")
	for _, args := range [][]string{
		{filepath.Join(testdata, "sample.oracleGeneral")},
		{filepath.Join(testdata, "sample.oracleGeneral.zst")},
		{"-form", "cachelib", filepath.Join(testdata, "cachelib.csv")},
	} {
		if out := called(t, args...); !strings.Contains(out, "| LRU ") || !strings.Contains(out, "a public trace") {
			t.Errorf("%v:\n%s", args, out)
		}
	}
	var file []byte
	for i, size := range []uint32{3 << 20, 5000, 3 << 20, 9000} {
		file = binary.LittleEndian.AppendUint32(file, uint32(i))
		file = binary.LittleEndian.AppendUint64(file, uint64(1+i%2))
		file = binary.LittleEndian.AppendUint32(file, size)
		file = binary.LittleEndian.AppendUint64(file, ^uint64(0))
	}
	name := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(name, file, 0o644); err != nil {
		t.Fatal(err)
	}
	var c comparison
	if err := json.Unmarshal([]byte(called(t, "-json", "-policy", "all", name)), &c); err != nil {
		t.Fatal(err)
	}
	if c.Reads != 8 || c.Distinct != 4 || c.Bytes != 3<<20+8192 || c.Rates[0].Hits != 0.5 {
		t.Errorf("%+v", c)
	}
}

func TestBadCalls(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"-policy", "FIFO", "recorded"},
		{"-sizes", "0", "recorded"},
		{"-sizes", "x", "recorded"},
		{"missing.trace"},
		{"-form", "csv", filepath.Join("..", "workload", "testdata", "cachelib.csv")},
		{"-admit", "never", "day"},
		{"-hosts", "1", "day"},
		{"-starts", "often", "day"},
		{"-l2", "1", "day"},
		{"-images", "0", "day"},
		{"-doc", "missing.md"},
	} {
		var out bytes.Buffer
		if err := run(args, &out, &out); err == nil {
			t.Errorf("%v is no error:\n%s", args, &out)
		}
	}
	if out := called(t, "-policy", "LRU,Belady,all", "-sizes", "20,50", "-plot", filepath.Join(t.TempDir(), "p.svg"), "recorded"); strings.Contains(out, "2Q") {
		t.Errorf("asked for three policies:\n%s", out)
	}
}
