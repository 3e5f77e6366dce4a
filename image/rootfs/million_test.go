package rootfs

import (
	"archive/tar"
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"

	"github.com/zonecache/cached/internal/figure"
)

// peakRSS runs work and returns the most memory the process had resident
// meanwhile, in bytes, including what it had before.
func peakRSS(tb testing.TB, work func()) int64 {
	tb.Helper()
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		tb.Skipf("peak memory cannot be measured here: %v", err)
	}
	work()
	f, err := os.Open("/proc/self/status")
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var kib int64
		if n, _ := fmt.Sscanf(s.Text(), "VmHWM: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	tb.Fatal("no VmHWM in /proc/self/status")
	return 0
}

// manyFiles returns a tar of n files, 10 in a thousand with several names or as
// links, in directories of 1000; one directory has 100 times as many.
func manyFiles(n int) io.ReadCloser {
	pr, pw := io.Pipe()
	go func() {
		w := bufio.NewWriterSize(pw, 1<<20)
		tw := tar.NewWriter(w)
		stamp := time.Unix(1_700_000_000, 0)
		body := []byte("content\n")
		for i := range n {
			hdr := &tar.Header{Name: fmt.Sprintf("usr/lib/packages/p%05d/module_%07d.py", i/1000, i), Mode: 0o644, ModTime: stamp}
			if i < n/10 {
				hdr.Name = fmt.Sprintf("usr/share/large/entry-%07d", i)
			}
			switch {
			case i%1000 == 7:
				hdr.Typeflag, hdr.Linkname = tar.TypeSymlink, "elsewhere"
			case i%1000 == 9 && i > n/10:
				hdr.Typeflag, hdr.Linkname = tar.TypeLink, fmt.Sprintf("usr/lib/packages/p%05d/module_%07d.py", i/1000, i-1)
			case i%10 == 0:
				hdr.Size = int64(len(body))
			}
			err := tw.WriteHeader(hdr)
			if err == nil && hdr.Size > 0 {
				_, err = tw.Write(body)
			}
			if err != nil {
				pw.CloseWithError(err)
				return
			}
		}
		err := tw.Close()
		if err == nil {
			err = w.Flush()
		}
		pw.CloseWithError(err)
	}()
	return pr
}

func TestMillionEntries(t *testing.T) {
	n := 50_000
	switch {
	case raceDetector:
		n = 10_000
	case figure.Full():
		n = 1_000_000
	}
	var img *Image
	var took time.Duration
	rss := peakRSS(t, func() {
		layer := manyFiles(n)
		defer layer.Close()
		b := newBuilder(t, Options{})
		start := time.Now()
		if err := b.AddTar(t.Context(), layer); err != nil {
			t.Fatal(err)
		}
		img = finish(t, b)
		if err := img.Stream(t.Context(), io.Discard); err != nil {
			t.Fatal(err)
		}
		took = time.Since(start)
	})
	st := img.Stats()
	if got := st.Files + st.Symlinks + st.Links; got != n {
		t.Fatalf("%d entries in the image, want %d: %+v", got, n, st)
	}
	figure.Report(t, "rootfs.million_entries.count", float64(n), "entries")
	figure.Report(t, "rootfs.million_entries.rss_mib", float64(rss)/(1<<20), "MiB")
	figure.Report(t, "rootfs.million_entries.seconds", took.Seconds(), "s")
	figure.Report(t, "rootfs.million_entries.metadata_mib", float64(st.Metadata)/(1<<20), "MiB")
	if limit := int64(512 << 20); rss > limit && !raceDetector {
		t.Errorf("%d bytes resident for %d entries, want at most %d", rss, n, limit)
	}

	// The large directory is found whole, by name and by listing.
	file := toFile(t, img)
	fsys := open(t, file)
	list, err := fsys.ReadDir("usr/share/large")
	if err != nil || len(list) != n/10 {
		t.Fatalf("large directory lists %d entries (%v), want %d", len(list), err, n/10)
	}
	for i := 0; i < n/10; i += 997 {
		name := fmt.Sprintf("entry-%07d", i)
		if a, err := fsys.Attr("usr/share/large/" + name); err != nil || list[i].Name() != name {
			t.Fatalf("%s: %+v, %v; listed as %q", name, a, err, list[i].Name())
		}
	}
	t.Run("fsck", func(t *testing.T) { checkImage(t, file) })
	t.Run("kernel", func(t *testing.T) {
		list, err := os.ReadDir(filepath.Join(mountImage(t, file), "usr/share/large"))
		if err != nil || len(list) != n/10 {
			t.Fatalf("the kernel lists %d entries, %v", len(list), err)
		}
		for i := 0; i < n/10; i += 997 {
			if _, err := list[i].Info(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
