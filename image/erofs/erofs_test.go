package erofs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/image/rootfs"
	"github.com/zonecache/cached/internal/imagetest"
	"github.com/zonecache/cached/internal/testtool"
)

// TestSameAsGoErofs holds every inode against what go-erofs reads by path.
func TestSameAsGoErofs(t *testing.T) {
	name := imagetest.Build(t, imagetest.EveryKind()...)
	f, size := imagetest.Open(t, name)
	other, err := rootfs.Open(f, size)
	if err != nil {
		t.Fatal(err)
	}
	names := 0
	err = walk(t, load(t, name), func(p string, i Inode, content []byte, attrs map[string]string) {
		names++
		a, err := other.Attr(p)
		if err != nil {
			t.Errorf("%s: %v", p, err)
			return
		}
		mode := unixMode(a.Mode)
		got := []any{i.Nid, i.Mode, i.Size, i.UID, i.GID, int(i.Nlink), i.Rdev, time.Unix(i.Mtime, int64(i.MtimeNs))}
		want := []any{a.Inode, mode, a.Size, a.UID, a.GID, a.Nlink, a.Rdev, a.ModTime}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%.60s: %v, want %v", p, got, want)
		}
		if !maps.Equal(attrs, a.Xattrs) {
			t.Errorf("%s: attributes %q, want %q", p, attrs, a.Xattrs)
		}
		body := []byte(a.Target)
		if a.Mode.IsRegular() {
			if body, err = fs.ReadFile(other, p); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(content, body) {
			t.Errorf("%s: content of %d bytes differs", p, len(content))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := len(imagetest.EveryKind()); names != want {
		t.Errorf("met %d names, want %d", names, want)
	}
}

func unixMode(m fs.FileMode) uint32 {
	mode := uint32(m.Perm())
	for _, b := range []struct {
		bit  fs.FileMode
		unix uint32
	}{{fs.ModeSetuid, unix.S_ISUID}, {fs.ModeSetgid, unix.S_ISGID}, {fs.ModeSticky, unix.S_ISVTX}} {
		if m&b.bit != 0 {
			mode |= b.unix
		}
	}
	switch m.Type() {
	case fs.ModeDir:
		return mode | unix.S_IFDIR
	case fs.ModeSymlink:
		return mode | unix.S_IFLNK
	case fs.ModeDevice:
		return mode | unix.S_IFBLK
	case fs.ModeDevice | fs.ModeCharDevice:
		return mode | unix.S_IFCHR
	case fs.ModeNamedPipe:
		return mode | unix.S_IFIFO
	}
	return mode | unix.S_IFREG
}

// TestImagesOfMkfs reads what another writer makes: compact inodes, tails of files
// behind them, chunks with either form of index, shared attributes, small blocks.
func TestImagesOfMkfs(t *testing.T) {
	mkfs := testtool.Debian(t, "mkfs.erofs")
	dir := t.TempDir()
	for i := range 300 {
		p := filepath.Join(dir, "many", fmt.Sprintf("%03d-%s", i, strings.Repeat("n", i%40)))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(strings.Repeat("x", i*i)), 0o640); err != nil {
			t.Fatal(err)
		}
		for _, value := range []string{"a", "b"}[:i%3%2+1] {
			if err := unix.Setxattr(p, "user."+value, []byte(strings.Repeat(value, 40)), 0); err != nil {
				t.Skipf("the file system under %s takes no user attributes: %v", dir, err)
			}
		}
	}
	if err := os.Symlink(strings.Repeat("t", 3000), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{}, {"-T0", "-Eforce-inode-compact"}, {"-Eforce-inode-extended", "-x1"}, {"--chunksize=4096"}, {"--chunksize=8192", "-Eforce-chunk-indexes"}, {"-Enoinline_data"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "image")
			if out, err := exec.Command(mkfs, append(args, name, dir)...).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			files := 0
			err := walk(t, load(t, name), func(p string, i Inode, content []byte, attrs map[string]string) {
				host := filepath.Join(dir, p)
				switch i.Type() {
				case unix.S_IFREG:
					files++
					want, err := os.ReadFile(host)
					if err != nil || !bytes.Equal(content, want) {
						t.Errorf("%s: %v, %d bytes, want %d", p, err, len(content), len(want))
					}
					value := make([]byte, 100)
					n, err := unix.Getxattr(host, "user.a", value)
					if err != nil || attrs["user.a"] != string(value[:n]) {
						t.Errorf("%s: attributes %q", p, attrs)
					}
				case unix.S_IFLNK:
					if string(content) != strings.Repeat("t", 3000) {
						t.Errorf("target %q", content)
					}
				}
			})
			if err != nil || files != 300 {
				t.Errorf("%d files, %v", files, err)
			}
		})
	}
	t.Run("compressed", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "image")
		if out, err := exec.Command(mkfs, "-zlz4", name, dir).CombinedOutput(); err != nil {
			t.Skipf("mkfs.erofs compresses nothing here: %v\n%s", err, out)
		}
		f, size := imagetest.Open(t, name)
		m, err := Open(t.Context(), Local(f), size)
		if err == nil {
			err = walk(t, m, func(string, Inode, []byte, map[string]string) {})
		}
		if !errors.Is(err, ErrUnsupported) {
			t.Errorf("%v, want ErrUnsupported", err)
		}
	})
}

func TestLookupMissesNothing(t *testing.T) {
	var items []imagetest.Item
	for i := range 3000 {
		items = append(items, imagetest.File(fmt.Sprintf("d/%d-%s", i*7919%3000, strings.Repeat("n", i%200)), ""))
	}
	m := load(t, imagetest.Build(t, items...))
	dir := find(t, m, "d")
	for _, it := range items {
		if _, err := m.Lookup(t.Context(), dir, strings.TrimPrefix(it.Name, "d/")); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"", "\x00", "0", "5-nn", "zzz", "\xff", strings.Repeat("9", 300)} {
		if _, err := m.Lookup(t.Context(), dir, name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%.20q: %v", name, err)
		}
	}
	// Reading on from every position gives the rest, and nothing twice.
	var names []string
	var places []int64
	for d, err := range m.ReadDir(t.Context(), dir, 0) {
		if err != nil {
			t.Fatal(err)
		}
		names, places = append(names, d.Name), append(places, d.Next)
	}
	if len(names) != 3002 {
		t.Fatalf("%d names", len(names))
	}
	for i, at := range places {
		for d, err := range m.ReadDir(t.Context(), dir, at) {
			if err != nil || d.Name != names[i+1] {
				t.Fatalf("behind %q: %q, %v, want %q", names[i], d.Name, err, names[i+1])
			}
			break
		}
	}
}

func TestHoles(t *testing.T) {
	m := load(t, imagetest.Build(t, imagetest.EveryKind()...))
	i := find(t, m, "holes") // zeros and bytes in turn, each 1 MiB
	for _, c := range []struct{ off, data, hole int64 }{
		{0, 1 << 20, 0},
		{5, 1 << 20, 5},
		{1 << 20, 1 << 20, 2 << 20},
		{1<<20 + 5, 1<<20 + 5, 2 << 20},
		{2 << 20, 3 << 20, 2 << 20},
		{6<<20 - 1, 6<<20 - 1, 6 << 20},
	} {
		data, err := m.SeekData(t.Context(), i, c.off)
		if err != nil || data != c.data {
			t.Errorf("data from %d: %d, %v, want %d", c.off, data, err, c.data)
		}
		hole, err := m.SeekHole(t.Context(), i, c.off)
		if err != nil || hole != c.hole {
			t.Errorf("hole from %d: %d, %v, want %d", c.off, hole, err, c.hole)
		}
	}
	for _, off := range []int64{-1, 6 << 20, 1 << 40} {
		_, err := m.SeekData(t.Context(), i, off)
		if _, err2 := m.SeekHole(t.Context(), i, off); !errors.Is(err, io.EOF) || !errors.Is(err2, io.EOF) {
			t.Errorf("from %d: %v, %v", off, err, err2)
		}
	}
	if at, err := m.SeekData(t.Context(), find(t, m, "zeros"), 0); !errors.Is(err, io.EOF) {
		t.Errorf("data in zeros at %d, %v", at, err)
	}
}

// TestReadsOfAnyRange compares with the whole content.
func TestReadsOfAnyRange(t *testing.T) {
	m := load(t, imagetest.Build(t, imagetest.EveryKind()...))
	for _, name := range []string{"holes", "sparse", "large", "etc/empty", "bin/ping"} {
		i := find(t, m, name)
		whole := make([]byte, i.Size)
		if _, err := m.ReadAt(t.Context(), i, whole, 0); err != nil && i.Size > 0 {
			t.Fatal(err)
		}
		for _, off := range []int64{0, 1, 4095, 1<<20 - 1, 1 << 20, i.Size / 2, i.Size - 1, i.Size, i.Size + 5} {
			for _, n := range []int64{0, 1, 4096, 3 << 20} {
				p := bytes.Repeat([]byte{'?'}, int(n))
				got, err := m.ReadAt(t.Context(), i, p, off)
				want := whole[min(max(off, 0), i.Size):min(max(off, 0)+n, i.Size)]
				if off < 0 {
					if err == nil {
						t.Errorf("%s at %d: no error", name, off)
					}
					continue
				}
				short := off >= i.Size || off+n > i.Size
				if !bytes.Equal(p[:got], want) || errors.Is(err, io.EOF) != short || err != nil && !short {
					t.Errorf("%s, %d bytes at %d: %d, %v", name, n, off, got, err)
				}
			}
		}
	}
}

// failing is a source that reads nothing from a place on.
type failing struct {
	Source
	from int64
	err  error
}

func (f failing) ReadAtContext(ctx context.Context, p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.from {
		return 0, f.err
	}
	return f.Source.ReadAtContext(ctx, p, off)
}

func TestErrorsOfTheSourceComeThrough(t *testing.T) {
	name := imagetest.Build(t, imagetest.EveryKind()...)
	f, size := imagetest.Open(t, name)
	broken := errors.New("broken")
	m, err := Open(t.Context(), failing{Local(f), size - 1<<20, broken}, size)
	if err != nil {
		t.Fatal(err)
	}
	if err := walk(t, m, func(string, Inode, []byte, map[string]string) {}); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if _, err := Open(t.Context(), failing{Local(f), 0, broken}, size); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if _, err := Open(t.Context(), Local(f), size*4); err != nil {
		t.Errorf("a size beyond the source's: %v", err) // found when it is read
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, Local(f), size); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestOpenRefusesWhatIsNoImage(t *testing.T) {
	for name, p := range map[string][]byte{"empty": nil, "short": make([]byte, 1100), "zeros": make([]byte, 8192), "text": bytes.Repeat([]byte("x"), 8192)} {
		_, err := Open(t.Context(), Local(bytes.NewReader(p)), int64(len(p)))
		if !errors.Is(err, ErrMalformed) || !strings.HasPrefix(err.Error(), "erofs: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
