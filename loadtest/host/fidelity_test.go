package host

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecache/cached/image/rootfs"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/testtool"
	"github.com/zonecache/cached/loadtest/images"
)

// TestProveHostFidelity compares every image with what umoci unpacks, and what is
// mounted with the image: content, modes, owners, times, attributes, links, devices.
func TestProveHostFidelity(t *testing.T) {
	full(t)
	measureFidelity(t, newLab(t, forgetful, imageNames()...))
}

func measureFidelity(t *testing.T, l *lab) {
	differences := map[string]int{"umoci": 0, "mounted": 0, "fuse": 0}
	entries, complaints := 0, 0
	for _, img := range l.images {
		file := filepath.Join(l.dir, img.Name+".erofs")
		on(t, l.first, l.programs.Command("read", img.Ref(), "--output", file))
		if out, err := exec.Command(testtool.Debian(t, "fsck.erofs"), "--extract", file).CombinedOutput(); err != nil || strings.Contains(string(out), "<E>") {
			complaints++
			t.Errorf("%s: fsck.erofs: %v\n%s", img.Ref(), err, out)
		}
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		for how, dir := range l.trees(t, img) {
			r := compare(t, dir.Dir, f)
			differences[how] += r.Different
			t.Logf("%s, %s: %d entries, %d files, %d bytes compared, %d differ", img.Ref(), how, r.Entries, r.Files, r.Bytes, r.Different)
			if !r.Same() {
				t.Errorf("%s", strings.Join(r.Mismatches[:min(len(r.Mismatches), 10)], "\n"))
			}
			if how == "umoci" {
				entries += r.Entries
				continue
			}
			l.umount(t, dir)
		}
		_ = f.Close()
		_ = os.Remove(file)
	}
	for how, n := range differences {
		figure.Report(t, "host.fidelity."+how+"_differences", float64(n), "differences")
	}
	figure.Report(t, "host.fidelity.fsck_complaints", float64(complaints), "images")
	figure.Report(t, "host.fidelity.entries", float64(entries), "entries")
}

// trees returns the image unpacked by umoci, and mounted in the best way of this
// kernel and by FUSE alone.
func (l *lab) trees(t *testing.T, img images.Built) map[string]mounted {
	t.Helper()
	bundle := filepath.Join(l.room(t, "unpacked"), "bundle")
	on(t, l.first, exec.Command(l.umoci, "unpack", "--image", strings.TrimPrefix(img.Source(), "oci:"), bundle))
	kernel := l.mount(t, l.first, img.Ref(), l.room(t, "mounted"))
	t.Logf("%s: %s", img.Ref(), kernel.Kind)
	return map[string]mounted{
		"umoci":   {Dir: filepath.Join(bundle, "rootfs")},
		"mounted": kernel,
		"fuse":    l.mount(t, l.first, img.Ref(), l.room(t, "fuse"), "--as", "fuse"),
	}
}

func compare(t *testing.T, dir string, file *os.File) rootfs.Report {
	t.Helper()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	fs, err := rootfs.Open(file, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	root, err := fs.Stat(".")
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Base(dir) == "rootfs" { // umoci leaves its own time there
		if err := os.Chtimes(dir, root.ModTime(), root.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
	r, err := rootfs.Compare(t.Context(), dir, fs, rootfs.KeepOwner)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
