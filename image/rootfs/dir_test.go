package rootfs

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/internal/figure"
)

// goRoot returns the folder of the Go distribution, the real tree that is always there.
func goRoot(tb testing.TB) string {
	tb.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func TestRealTreeIsTheSameInTheImage(t *testing.T) {
	dir := goRoot(t)
	if !figure.Full() {
		dir = filepath.Join(dir, "src", "crypto")
	}
	img := fromDir(t, dir, Options{})
	report, err := Compare(t.Context(), dir, open(t, toFile(t, img)), KeepOwner)
	if err != nil {
		t.Fatal(err)
	}
	st := img.Stats()
	if !report.Same() || report.Files != st.Files || report.Bytes != st.Bytes {
		t.Fatalf("compared %+v, image has %+v", report, st)
	}
	figure.Report(t, "rootfs.tree.metadata_share", 100*float64(st.Metadata)/float64(img.Size()), "%")
}

// makeTree fills dir with files of every kind that a user may make, in the given
// order of names.
func makeTree(tb testing.TB, dir string, names []string) {
	tb.Helper()
	do := func(err error) {
		if err != nil {
			tb.Helper()
			tb.Fatal(err)
		}
	}
	for _, name := range names {
		p := filepath.Join(dir, name)
		do(os.MkdirAll(filepath.Dir(p), 0o755))
		switch filepath.Base(name) {
		case "link":
			do(os.Symlink("plain", p))
		case "second":
			first := filepath.Join(filepath.Dir(p), "first")
			do(os.WriteFile(first, []byte("two names"), 0o640))
			do(os.Link(first, p))
		case "pipe":
			do(unix.Mkfifo(p, 0o600))
		case "setuid":
			do(os.WriteFile(p, []byte("x"), 0o700))
			do(os.Chmod(p, 0o755|os.ModeSetuid))
		case "sparse":
			f, err := os.Create(p)
			do(err)
			do(f.Truncate(3 << 20))
			_, err = f.WriteAt([]byte("middle"), 1<<20+17)
			do(err)
			do(f.Close())
		case "written-zeros":
			do(os.WriteFile(p, make([]byte, 2<<20), 0o644))
		case "empty-dir":
			do(os.Mkdir(p, 0o750))
		default:
			do(os.WriteFile(p, []byte(strings.Repeat(name+"\n", 700)), 0o644))
		}
	}
	do(filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return unix.Lutimes(p, []unix.Timeval{{Sec: 1_600_000_000}, {Sec: 1_600_000_000, Usec: 250_000}})
	}))
}

var treeNames = []string{
	"a/plain", "a/link", "a/first/x", "b/second", "b/pipe", "setuid", "sparse", "written-zeros", "c/empty-dir",
	"a.b", "a-b", "é", "\xff\xfe", "c/" + strings.Repeat("n", nameMax),
}

func TestDirectoryIsTheSameInTheImage(t *testing.T) {
	dir := t.TempDir()
	makeTree(t, dir, treeNames)
	if err := unix.Setxattr(filepath.Join(dir, "setuid"), "user.note", []byte("kept"), 0); err != nil {
		t.Logf("the file system under %s takes no user attributes: %v", dir, err)
	}
	img := fromDir(t, dir, Options{})
	name := toFile(t, img)
	same(t, dir, open(t, name))
	st := img.Stats()
	if st.Links != 1 || st.Specials != 1 || st.Holes != 2<<20+2<<20 || img.Size() > 2<<20 {
		t.Errorf("size %d, %+v", img.Size(), st)
	}
	t.Run("fsck", func(t *testing.T) { checkImage(t, name) })
	t.Run("kernel", func(t *testing.T) { same(t, mountImage(t, name), open(t, name)) })
}

func TestSameTreeSameBytes(t *testing.T) {
	var want [32]byte
	for i := range 4 {
		// Another place, another order of creation, holes made or written,
		// another spool.
		dir := t.TempDir()
		names := append(treeNames[i:len(treeNames):len(treeNames)], treeNames[:i]...)
		makeTree(t, dir, names)
		if i == 2 {
			p := filepath.Join(dir, "sparse")
			content, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(p); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(p, content, 0o644); err != nil {
				t.Fatal(err)
			}
			for _, p := range []string{p, dir} {
				if err := unix.Lutimes(p, []unix.Timeval{{}, {Sec: 1_600_000_000, Usec: 250_000}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		img := fromDir(t, dir, Options{})
		got := digest(t, img)
		if again := digest(t, img); again != got {
			t.Fatal("the second pass gave other bytes")
		}
		if i == 0 {
			want = got
		} else if got != want {
			t.Fatalf("tree %d gave other bytes", i)
		}
	}
}

func TestOwnerCanBeRoot(t *testing.T) {
	dir := t.TempDir()
	makeTree(t, dir, []string{"f"})
	if os.Getuid() == 0 {
		if err := os.Chown(filepath.Join(dir, "f"), 12, 34); err != nil {
			t.Fatal(err)
		}
	}
	fsys := open(t, toFile(t, fromDir(t, dir, Options{Owner: RootOwner})))
	if a, err := fsys.Attr("f"); err != nil || a.UID != 0 || a.GID != 0 {
		t.Errorf("%+v, %v", a, err)
	}
	report, err := Compare(t.Context(), dir, fsys, RootOwner)
	if err != nil || !report.Same() {
		t.Errorf("%+v, %v", report, err)
	}
	if _, err := NewBuilder(Options{Owner: 7}); err == nil {
		t.Error("an unknown ownership was accepted")
	}
}

func TestSocketsAreLeftOut(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	img := fromDir(t, dir, Options{})
	if st := img.Stats(); st.SkippedSockets != 1 || st.Files+st.Specials != 0 {
		t.Errorf("%+v", st)
	}
	same(t, dir, open(t, toFile(t, img)))
}

func TestLayerOverDirectory(t *testing.T) {
	dir := t.TempDir()
	makeTree(t, dir, []string{"a/plain", "b/second", "c"})
	b := newBuilder(t, Options{})
	if err := b.AddDir(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if err := b.AddTar(t.Context(), strings.NewReader(string(makeLayer(t, fileItem("a/new", "n"), fileItem("b/.wh.first", ""), fileItem("c", "other"))))); err != nil {
		t.Fatal(err)
	}
	img := finish(t, b)
	for x := range img.Extents() {
		if x.Path() == "b/first" {
			t.Error("an extent is named after a name that a layer removed")
		}
	}
	fsys := open(t, toFile(t, img))
	for name, size := range map[string]int64{"a/plain": 700 * 8, "a/new": 1, "b/second": 9, "c": 5} {
		if a, err := fsys.Attr(name); err != nil || a.Size != size || a.Nlink != 1 {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
}

func TestChangedSourceIsAnError(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(file string) error
	}{
		{"longer", func(file string) error { return os.WriteFile(file, make([]byte, 10_000), 0o644) }},
		{"shorter", func(file string) error { return os.Truncate(file, 10) }},
		{"written to", func(file string) error { return os.Chtimes(file, time.Now(), time.Now()) }},
		{"gone", os.Remove},
		{"another file", func(file string) error {
			st, err := os.Stat(file)
			if err != nil {
				return err
			}
			if err := os.Rename(file, file+".old"); err != nil {
				return err
			}
			if err := os.WriteFile(file, make([]byte, st.Size()), 0o644); err != nil {
				return err
			}
			return os.Chtimes(file, st.ModTime(), st.ModTime())
		}},
		{"a symbolic link", func(file string) error {
			if err := os.Remove(file); err != nil {
				return err
			}
			return os.Symlink("/etc/passwd", file)
		}},
		{"a pipe", func(file string) error {
			if err := os.Remove(file); err != nil {
				return err
			}
			return unix.Mkfifo(file, 0o644)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			makeTree(t, dir, []string{"d/file"})
			img := fromDir(t, dir, Options{})
			file := filepath.Join(dir, "d", "file")
			if err := c.change(file); err != nil {
				t.Fatal(err)
			}
			err := img.Stream(t.Context(), io.Discard)
			if !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), file) {
				t.Fatalf("Stream: %v, want ErrChanged naming %s", err, file)
			}
		})
	}
}

func TestNoDirectoryIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{file, file + ".missing"} {
		b := newBuilder(t, Options{})
		if err := b.AddDir(t.Context(), p); err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("AddDir(%s): %v", p, err)
		}
	}
}
