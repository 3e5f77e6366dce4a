package source

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/image"
	"github.com/zonecache/cached/internal/figure"
)

func goroot(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatalf("go env GOROOT: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// A second version of a real tree, one package touched, uploads little.
func TestVersionsShareBlocks(t *testing.T) {
	if figure.Instrumented {
		t.Skip("measured without instrumentation")
	}
	root, pkg := filepath.Join(goroot(t), "src", "cmd"), "gofmt"
	if figure.Full() {
		root, pkg = goroot(t), "src/encoding/json"
	}
	v2 := filepath.Join(t.TempDir(), "v2")
	if msg, err := exec.Command("cp", "-a", root, v2).CombinedOutput(); err != nil {
		t.Fatalf("copy: %v: %s", err, msg)
	}
	list, err := os.ReadDir(filepath.Join(v2, pkg))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if name := filepath.Join(v2, pkg, e.Name()); e.Type().IsRegular() {
			p, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			write(t, slices.Concat(p[:len(p)/2], []byte("// touched\n"), p[len(p)/2:]), name)
		}
	}
	write(t, bytes.Repeat([]byte("// one more\n"), 300), v2, pkg, "zz_added.go")

	s := newStore()
	s.discard = true
	mustPublish(t, s, "dir:"+root, Options{})
	p := mustPublish(t, s, "dir:"+v2, Options{})
	figure.Report(t, "publish.v2_new_share_percent", 100*float64(p.New.Stored)/float64(p.Stored), "%")
	figure.Report(t, "publish.v2_new_share_raw_percent", 100*float64(p.New.Raw)/float64(p.Raw), "%")
	if p.New.Stored*1000 > p.Stored*15 {
		t.Errorf("%d of %d stored bytes are new, more than 1.5 %%", p.New.Stored, p.Stored)
	}
}

// residentMax returns the most memory the process has had since resetMax, bytes.
func residentMax(t testing.TB) int64 {
	t.Helper()
	p, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skipf("no /proc: %v", err)
	}
	for line := range strings.Lines(string(p)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Skip("no VmHWM in /proc/self/status")
	return 0
}

func resetMax(t testing.TB) {
	t.Helper()
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o200); err != nil {
		t.Skipf("cannot reset the memory mark: %v", err)
	}
}

// Memory does not grow with the image.
func TestPublishInBoundedMemory(t *testing.T) {
	if figure.Instrumented {
		t.Skip("measured without instrumentation")
	}
	size, limit := int64(128<<20), int64(512<<20)
	if figure.Full() {
		size = 4 << 30
	}
	dir := t.TempDir()
	const part = 64 << 20
	for i := range size / part {
		p := blocktest.Bytes(uint64(i), part)
		for j := 0; j < part; j += 4096 { // half of it compresses
			copy(p[j:j+2048], bytes.Repeat([]byte{byte(j >> 12), byte(i)}, 1024))
		}
		write(t, p, dir, fmt.Sprintf("part%03d", i))
	}
	s := newStore()
	s.discard = true
	resetMax(t)
	p := mustPublish(t, s, "dir:"+dir, Options{})
	most := residentMax(t)
	figure.Report(t, "publish.rss_mib", float64(most)/(1<<20), "MiB")
	figure.Report(t, "publish.rss_image_mib", float64(p.Raw)/(1<<20), "MiB")
	if most > limit {
		t.Errorf("%d MiB resident while %d MiB were published", most>>20, p.Raw>>20)
	}
}

// A folder is the least a target can be.
type folder struct {
	*store
	dir string
}

func (f folder) HasBlock(_ context.Context, id block.ID, size int64) (bool, error) {
	st, err := os.Stat(filepath.Join(f.dir, id.Hex()))
	return err == nil && st.Size() == size, nil
}

func (f folder) PutBlock(_ context.Context, b block.Block) error {
	return os.WriteFile(filepath.Join(f.dir, b.ID().Hex()), b.Bytes(), 0o644)
}

// Publishing costs what compressing costs: the same bytes through bare zstd on all
// cores beside it, in turns. The first target keeps nothing, so that the pipeline
// alone is measured; the second is a folder, whose files cost the system's time.
func TestPublishAtTheSpeedOfZstd(t *testing.T) {
	if figure.Instrumented {
		t.Skip("measured without instrumentation")
	}
	root, rounds := filepath.Join(goroot(t), "src", "encoding"), 1
	if figure.Full() {
		root, rounds = filepath.Join(goroot(t), "src"), 5
	}
	dir := t.TempDir()
	s := newStore()
	p := mustPublish(t, s, "dir:"+root, Options{})
	var all bytes.Buffer
	if _, err := p.r.WriteTo(&all); err != nil {
		t.Fatal(err)
	}
	file := write(t, all.Bytes(), dir, "image")
	piece := all.Len() / len(p.m.Blocks)
	var pipeline, work, files, speeds []float64
	for i := range rounds {
		idle := processorTime(t)
		bare := bareZstd(t, all.Bytes(), piece)
		bareWork := processorTime(t) - idle
		began := time.Now()
		publishFile(t, file, nowhere{newStore()})
		work = append(work, bareWork.Seconds()/(processorTime(t)-idle-bareWork).Seconds())
		pipeline = append(pipeline, bare.Seconds()/time.Since(began).Seconds())

		target := folder{newStore(), filepath.Join(dir, strconv.Itoa(i))}
		if err := os.Mkdir(target.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		began = time.Now()
		publishFile(t, file, target)
		files = append(files, bare.Seconds()/time.Since(began).Seconds())
		speeds = append(speeds, float64(all.Len())/1e6/time.Since(began).Seconds())
	}
	middle := func(x []float64) float64 {
		slices.Sort(x)
		return x[len(x)/2]
	}
	figure.Report(t, "publish.vs_zstd", middle(pipeline), "x")
	// The same in processor time, which other programs on the machine disturb less.
	figure.Report(t, "publish.vs_zstd_processor_time", middle(work), "x")
	figure.Report(t, "publish.folder_vs_zstd", middle(files), "x")
	figure.Report(t, "publish.folder_mb_per_s", middle(speeds), "MB/s")
}

func publishFile(t *testing.T, file string, target image.Target) {
	t.Helper()
	src, err := Parse("file:"+file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := image.Publish(context.Background(), src, image.PublishOptions{Name: "x", Target: target}); err != nil {
		t.Fatal(err)
	}
}

// nowhere takes blocks and keeps none.
type nowhere struct{ *store }

func (nowhere) PutBlock(context.Context, block.Block) error { return nil }

// processorTime returns what the process has used so far, on all cores.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// bareZstd compresses p in pieces on all cores, as publish would, and nothing else.
func bareZstd(t testing.TB, p []byte, piece int) time.Duration {
	t.Helper()
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithWindowSize(block.MaxSize), zstd.WithEncoderCRC(false))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			out := make([]byte, 0, piece*2)
			for {
				i := int(next.Add(1)-1) * piece
				if i >= len(p) {
					return
				}
				out = enc.EncodeAll(p[i:min(i+piece, len(p))], out[:0])
			}
		})
	}
	wg.Wait()
	return time.Since(began)
}
