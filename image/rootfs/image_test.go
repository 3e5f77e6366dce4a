package rootfs

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/zonecache/cached/internal/figure"
)

func TestSameLayersSameBytes(t *testing.T) {
	layers := everyKind(t)
	want := digest(t, fromLayers(t, layers...))
	if got := digest(t, fromLayers(t, layers...)); got != want {
		t.Fatal("another builder, with another spool, gave other bytes")
	}

	// The order of entries that do not depend on each other means nothing.
	items := []item{dirItem("z"), dirItem("a"), fileItem("a/1", "one"), fileItem("z/9", "nine"), symlinkItem("l", "a"), fileItem("m", strings.Repeat("m", 9000))}
	want = digest(t, fromLayers(t, makeLayer(t, items...)))
	for range 5 {
		rand.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
		if got := digest(t, fromLayers(t, makeLayer(t, items...))); got != want {
			t.Fatalf("order %v gave other bytes", items)
		}
	}
}

// TestBytesAreStable pins the format: an image published today must keep its id
// tomorrow. When this fails on purpose, say so in the change: every image that
// is published again gets new blocks of metadata.
func TestBytesAreStable(t *testing.T) {
	const want = "39a5335f623f4762"
	got := digest(t, fromLayers(t, makeLayer(t,
		item{name: "etc/x", body: "x", mode: 0o600, uid: 1, gid: 2, xattrs: map[string]string{"user.a": "b"}},
		linkItem("etc/y", "etc/x"), symlinkItem("s", "etc/x"),
		item{name: "holes", body: strings.Repeat("\x00", 2<<20) + "end"},
	)))
	if text := hex.EncodeToString(got[:8]); text != want {
		t.Fatalf("the image's bytes begin to hash to %s, want %s", text, want)
	}
}

func TestExtentsTileTheImage(t *testing.T) {
	img := fromLayers(t, everyKind(t)...)
	name := toFile(t, img)
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var end int64
	var paths []string
	for x := range img.Extents() {
		if x.Offset != end || x.Length <= 0 || x.Length%blockSize != 0 {
			t.Fatalf("extent %+v of %q, want one at %d", x, x.Path(), end)
		}
		end += x.Length
		paths = append(paths, x.Path())
		if x.Path() == "bin/ping" {
			p := make([]byte, 8)
			if _, err := f.ReadAt(p, x.Offset); err != nil || string(p) != "capable\x00" {
				t.Errorf("content of ping: %q, %v", p, err)
			}
		}
	}
	if end != img.Size() {
		t.Errorf("extents end at %d of %d", end, img.Size())
	}
	if paths[0] != "" || paths[1] != "bin/ping" || paths[len(paths)-1] != "was/file/inside" {
		t.Errorf("order of extents: %q", paths)
	}
	for range img.Extents() {
		break // the iterator must bear it
	}
}

func TestStreamsAtOnce(t *testing.T) {
	dir := t.TempDir()
	makeTree(t, dir, treeNames)
	img := fromDir(t, dir, Options{})
	want := digest(t, img)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			sum := sha256.New()
			if err := img.Stream(t.Context(), sum); err != nil || [32]byte(sum.Sum(nil)) != want {
				t.Errorf("a stream beside others: %v", err)
			}
		})
	}
	wg.Wait()
}

func TestEmptyImage(t *testing.T) {
	img := finish(t, newBuilder(t, Options{}))
	name := toFile(t, img)
	if list, err := open(t, name).ReadDir("."); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	t.Run("fsck", func(t *testing.T) { checkImage(t, name) })
	t.Run("kernel", func(t *testing.T) { same(t, mountImage(t, name), open(t, name)) })
}

func TestSpoolLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	b := newBuilder(t, Options{SpoolDir: dir})
	if err := b.AddTar(t.Context(), bytes.NewReader(makeLayer(t, fileItem("f", "x")))); err != nil {
		t.Fatal(err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 0 {
		t.Errorf("the spool has a name: %v, %v", list, err)
	}
	if _, err := NewBuilder(Options{SpoolDir: dir + "/missing"}); err == nil {
		t.Error("a missing spool folder was accepted")
	}
}

// TestLargeFile streams a layer with one file that is larger than 4 GiB when run in full.
func TestLargeFile(t *testing.T) {
	size := int64(64<<20 + 5)
	if figure.Full() {
		size = 4<<30 + 5
	}
	var img *Image
	var sum [32]byte
	rss := peakRSS(t, func() {
		b := newBuilder(t, Options{})
		if err := b.AddTar(t.Context(), largeLayer(t, size)); err != nil {
			t.Fatal(err)
		}
		img = finish(t, b)
		sum = digest(t, img)
	})
	figure.Report(t, "rootfs.large_file.bytes", float64(size), "bytes")
	figure.Report(t, "rootfs.large_file.rss_mib", float64(rss)/(1<<20), "MiB")
	if limit := int64(512 << 20); rss > limit && !raceDetector {
		t.Errorf("%d bytes resident, want at most %d", rss, limit)
	}
	if st := img.Stats(); st.Bytes != size+3 || sum == [32]byte{} {
		t.Errorf("%+v", st)
	}
	if !figure.Full() {
		return
	}
	name := toFile(t, img)
	fsys := open(t, name)
	info, err := fsys.Lstat("large")
	if err != nil {
		t.Fatal(err)
	}
	r, err := fsys.content(info)
	if err != nil {
		t.Fatal(err)
	}
	if err := equalReaders(r, &pattern{left: size}); err != nil {
		t.Fatal(err)
	}
	same(t, mountImage(t, name), fsys)
}

// BenchmarkStream streams a real tree; MB/s is of image bytes.
func BenchmarkStream(b *testing.B) {
	img := fromDir(b, goRoot(b), Options{})
	b.SetBytes(img.Size())
	for b.Loop() {
		if err := img.Stream(b.Context(), io.Discard); err != nil {
			b.Fatal(err)
		}
	}
	figure.Report(b, "rootfs.stream.mb_s", float64(img.Size())*float64(b.N)/b.Elapsed().Seconds()/1e6, "MB/s")
}

// TestDirectoriesStayWhereFilesGrow: a file that grows moves contents and alters
// inodes of files, but no byte of the directories. This is why they are apart.
func TestDirectoriesStayWhereFilesGrow(t *testing.T) {
	var items []item
	for i := range 300 {
		items = append(items, fileItem(fmt.Sprintf("d%02d/file%03d", i%17, i), strings.Repeat("x", 100*i)))
	}
	directories := func() ([]byte, int64) {
		img := fromLayers(t, makeLayer(t, items...))
		var out bytes.Buffer
		if err := img.Stream(t.Context(), &out); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()[blockSize:img.filesAt], img.Size()
	}
	before, small := directories()
	items[20].body = strings.Repeat("y", 20_000)
	after, large := directories()
	if !bytes.Equal(before, after) || small == large {
		t.Errorf("directories changed with the size of a file (image %d and %d bytes)", small, large)
	}
}
