package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "github.com/PlakarKorp/go-cdc-chunkers/chunkers/fixed" // candidates of the table
	_ "github.com/PlakarKorp/go-cdc-chunkers/chunkers/jc"
	"github.com/klauspost/compress/zstd"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/image/rootfs"
	"github.com/zonecache/cached/internal/figure"
)

// The candidates of docs/adr/0001. The first is the choice; the last is the fixed
// grid, as a cutter whose least is its most.
var candidates = []cut{
	defaultCut,
	{"fastcdc-v1.0.0", 16 << 10, 64 << 10, 512 << 10},
	{"fastcdc-v1.0.0", 64 << 10, 256 << 10, 1 << 20},
	{"fastcdc-v1.0.0", 128 << 10, 512 << 10, 1 << 20},
	{"jc-v1.1.0", 16 << 10, 64 << 10, 512 << 10},
	{"jc-v1.1.0", 32 << 10, 128 << 10, 1 << 20},
	{"fixed-v1.0.0", 256 << 10, 256 << 10, 256 << 10},
}

// TestCutTable prints what each way to cut costs: for a tree and a second version
// of it with one package touched, the bytes that the second one brings, and for
// one that reads a fifth of the files the bytes that move. It is the table of
// docs/adr/0001:
//
//	CACHED_PROVE=1 go test -run TestCutTable -v ./image
func TestCutTable(t *testing.T) {
	root := goroot(t)
	trees := [][2]string{{filepath.Join(root, "src", "encoding"), "json"}}
	rows := candidates[:2]
	if figure.Full() {
		trees = [][2]string{{root, "src/encoding/json"}, {filepath.Join(root, "src"), "net/http"}}
		rows = candidates
		if fi, err := os.Stat("/usr/lib/python3.11"); err == nil && fi.IsDir() {
			trees = append(trees, [2]string{"/usr/lib/python3.11", "asyncio"})
		}
	}
	for _, tr := range trees {
		v1, v2 := lay(t, tr[0]), lay(t, touched(t, tr[0], tr[1]))
		t.Logf("%s, %d files with content, %d MB; %s touched", tr[0], len(v1.extents)-1, len(v1.bytes)/1e6, tr[1])
		t.Logf("| cut, KiB | starts | blocks | raw K avg | stored K avg | v2 new raw | v2 new stored | moved raw (files are %.1f %%) | moved stored MB |", 100*v1.share(v1.wanted()))
		for _, c := range rows {
			for _, large := range []int64{0, 256 << 10} {
				printRow(t, c, large, v1, v2)
			}
		}
	}
}

func printRow(t *testing.T, c cut, large int64, v1, v2 laid) {
	known := map[block.ID]int{}
	a, all := v1.measure(t, c, large, known)
	first := len(known)
	old := make(map[block.ID]bool, first)
	for id := range known {
		old[id] = true
	}
	b, _ := v2.measure(t, c, large, known)
	var raw, stored, newRaw, newStored int
	seen := map[block.ID]bool{}
	for _, p := range b {
		if seen[p.id] {
			continue
		}
		seen[p.id] = true
		raw, stored = raw+p.length, stored+p.stored
		if !old[p.id] {
			newRaw, newStored = newRaw+p.length, newStored+p.stored
		}
	}
	var moved, movedStored int
	for _, i := range v1.blocksOf(a, v1.wanted()) {
		moved, movedStored = moved+a[i].length, movedStored+a[i].stored
	}
	starts := "-"
	if large > 0 {
		starts = fmt.Sprintf("%d K", large>>10)
	}
	t.Logf("| %s %d/%d/%d | %s | %d | %d | %d | %.2f %% | %.2f %% | %.1f %% | %.1f of %.1f |",
		strings.Split(c.algorithm, "-")[0], c.min>>10, c.normal>>10, c.max>>10, starts, len(a), len(v1.bytes)/len(a)>>10, all/len(a)>>10,
		percent(newRaw, raw), percent(newStored, stored), percent(moved, len(v1.bytes)), float64(movedStored)/1e6, float64(all)/1e6)
}

func percent(a, b int) float64 { return 100 * float64(a) / float64(b) }

// laid is a tree as the bytes of its image.
type laid struct {
	bytes   []byte
	extents []rootfs.Extent
}

// measured is one block.
type measured struct {
	id             block.ID
	off            int64
	length, stored int
}

func lay(t testing.TB, dir string) laid {
	t.Helper()
	b, err := rootfs.NewBuilder(rootfs.Options{SpoolDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.AddDir(context.Background(), dir); err != nil {
		t.Fatal(err)
	}
	img, err := b.Finish(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	w := bytes.NewBuffer(make([]byte, 0, img.Size()))
	if err := img.Stream(context.Background(), w); err != nil {
		t.Fatal(err)
	}
	return laid{w.Bytes(), slices.Collect(img.Extents())}
}

// measure cuts and compresses, and returns the blocks and the sum of their stored
// bytes. known remembers stored sizes, which take most of the time.
func (l laid) measure(t testing.TB, c cut, large int64, known map[block.ID]int) (all []measured, sum int) {
	t.Helper()
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	var starts []int64
	for i, x := range l.extents {
		if large > 0 && (i == 1 || i > 0 && x.Length >= large) {
			starts = append(starts, x.Offset)
		}
	}
	cutter, err := newCutter(bytes.NewReader(l.bytes), starts, c)
	if err != nil {
		t.Fatal(err)
	}
	var off int64
	for {
		p, err := cutter.Next()
		if errors.Is(err, io.EOF) {
			return all, sum
		}
		if err != nil {
			t.Fatal(err)
		}
		m := measured{id: block.Sum(p.Bytes), off: off, length: len(p.Bytes)}
		var ok bool
		if m.stored, ok = known[m.id]; !ok {
			m.stored = min(len(enc.EncodeAll(p.Bytes, nil)), m.length)
			known[m.id] = m.stored
		}
		off, sum = off+int64(m.length), sum+m.stored
		all = append(all, m)
	}
}

// wanted is what a start might read: half of the files of two fifths of the
// directories.
func (l laid) wanted() []rootfs.Extent {
	rng := rand.New(rand.NewPCG(1, 2))
	dirs := map[string]bool{}
	var out []rootfs.Extent
	for _, x := range l.extents[1:] {
		dir := path.Dir(x.Path())
		if _, ok := dirs[dir]; !ok {
			dirs[dir] = rng.Float64() < 0.4
		}
		if dirs[dir] && rng.Float64() < 0.5 {
			out = append(out, x)
		}
	}
	return out
}

func (l laid) share(list []rootfs.Extent) float64 {
	var n int64
	for _, x := range list {
		n += x.Length
	}
	return float64(n) / float64(len(l.bytes))
}

// blocksOf returns the indexes of the blocks that hold the extents.
func (l laid) blocksOf(all []measured, list []rootfs.Extent) []int {
	need := map[int]bool{}
	for _, x := range list {
		i, ok := slices.BinarySearchFunc(all, x.Offset, func(m measured, off int64) int { return int(m.off - off) })
		if !ok {
			i--
		}
		for ; i < len(all) && all[i].off < x.Offset+x.Length; i++ {
			need[i] = true
		}
	}
	out := make([]int, 0, len(need))
	for i := range need {
		out = append(out, i)
	}
	return out
}

func goroot(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatalf("go env GOROOT: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// touched returns a copy of the tree in which each file of the package has
// another line in its middle, and there is one file more.
func touched(t testing.TB, dir, pkg string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "v2")
	if msg, err := exec.Command("cp", "-a", dir, out).CombinedOutput(); err != nil {
		t.Fatalf("copy: %v: %s", err, msg)
	}
	list, err := os.ReadDir(filepath.Join(out, pkg))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if !e.Type().IsRegular() {
			continue
		}
		name := filepath.Join(out, pkg, e.Name())
		p, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		half := len(p) / 2
		if err := os.WriteFile(name, slices.Concat(p[:half], []byte("// touched\n"), p[half:]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(out, pkg, "zz_added.go"), bytes.Repeat([]byte("// one more\n"), 300), 0o644); err != nil {
		t.Fatal(err)
	}
	return out
}
