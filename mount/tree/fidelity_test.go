package tree

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/image/rootfs"
	"github.com/zonecache/cached/internal/imagetest"
	"github.com/zonecache/cached/internal/testtool"
)

// TestSameAsTheImage compares with what go-erofs reads.
func TestSameAsTheImage(t *testing.T) {
	dir, image := serveItems(t, imagetest.EveryKind()...)
	f, size := imagetest.Open(t, image)
	img, err := rootfs.Open(f, size)
	if err != nil {
		t.Fatal(err)
	}
	report, err := rootfs.Compare(t.Context(), dir, img, rootfs.KeepOwner)
	if err != nil {
		t.Fatal(err)
	}
	if !report.Same() || report.Entries != len(imagetest.EveryKind()) {
		t.Errorf("%d entries, %d differences:\n%s", report.Entries, report.Different, strings.Join(report.Mismatches, "\n"))
	}
}

// TestSameAsTheKernel compares with the kernel's own EROFS, to the last number.
func TestSameAsTheKernel(t *testing.T) {
	dir, image := serveItems(t, imagetest.EveryKind()...)
	differ(t, describe(t, dir, whole), describe(t, mountByKernel(t, image), whole))
}

func mountByKernel(t *testing.T, image string) string {
	t.Helper()
	dir := t.TempDir()
	err := unix.Mount(image, dir, "erofs", unix.MS_RDONLY, "")
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOTBLK) {
		t.Skipf("this kernel mounts no EROFS from a file: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// TestSameAsUnpacked compares with the files that GNU tar unpacks, on a file
// system that can be written to.
func TestSameAsUnpacked(t *testing.T) {
	items := imagetest.EveryKind()
	dir, _ := serveItems(t, items...)
	tar := testtool.Debian(t, "tar")
	unpacked := t.TempDir()
	cmd := exec.Command(tar, "-x", "-p", "-P", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-C", unpacked)
	r, w := io.Pipe()
	cmd.Stdin = r
	go func() { w.CloseWithError(imagetest.WriteLayer(w, items...)) }()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	differ(t, describe(t, dir, portable), describe(t, unpacked, portable))
}

// TestHolesAreSeen: what copies files with holes finds them.
func TestHolesAreSeen(t *testing.T) {
	dir, _ := serveItems(t, imagetest.EveryKind()...)
	f, err := os.Open(filepath.Join(dir, "holes")) // zeros and bytes in turn, each 1 MiB
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, c := range []struct {
		from   int64
		whence int
		want   int64
	}{
		{0, unix.SEEK_DATA, 1 << 20},
		{1<<20 + 5, unix.SEEK_HOLE, 2 << 20},
		{5<<20 + 5, unix.SEEK_HOLE, 6 << 20},
	} {
		if at, err := unix.Seek(int(f.Fd()), c.from, c.whence); err != nil || at != c.want {
			t.Errorf("seek from %d: %d, %v, want %d", c.from, at, err, c.want)
		}
	}
	if _, err := unix.Seek(int(f.Fd()), 6<<20, unix.SEEK_DATA); !errors.Is(err, unix.ENXIO) {
		t.Errorf("data behind the end: %v", err)
	}
}

func TestStatfs(t *testing.T) {
	dir, image := serveItems(t, imagetest.EveryKind()...)
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(image)
	if err != nil {
		t.Fatal(err)
	}
	if int64(st.Blocks)*st.Bsize != info.Size() || st.Bfree != 0 || st.Bavail != 0 || st.Namelen != 255 || st.Ffree != 0 || int(st.Files) != len(imagetest.EveryKind())-3 {
		t.Errorf("%+v for an image of %d bytes", st, info.Size())
	}
	if st.Flags&unix.ST_RDONLY == 0 {
		t.Error("the file system does not say that it is read-only")
	}
}
