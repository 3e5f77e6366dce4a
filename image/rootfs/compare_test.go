package rootfs

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCompareFindsEveryDifference changes the tree after the image was made.
func TestCompareFindsEveryDifference(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(dir string) error
		want   string
	}{
		{"content", func(d string) error {
			return rewrite(filepath.Join(d, "a/plain"), func(p []byte) { p[len(p)-1] ^= 1 })
		}, "a/plain: content differs"},
		{"size", func(d string) error { return os.Truncate(filepath.Join(d, "a/plain"), 1) }, "a/plain: 1 bytes"},
		{"hole", func(d string) error {
			return rewrite(filepath.Join(d, "sparse"), func(p []byte) { p[2<<20+5] = 1 })
		}, "sparse: content differs"},
		{"mode", func(d string) error { return os.Chmod(filepath.Join(d, "setuid"), 0o755) }, "setuid: mode -rwxr-xr-x, image urwxr-xr-x"},
		{"time", func(d string) error {
			return unix.Lutimes(filepath.Join(d, "a/link"), []unix.Timeval{{}, {Sec: 5}})
		}, "a/link: time 5.000000000"},
		{"target", func(d string) error {
			p := filepath.Join(d, "a/link")
			if err := os.Remove(p); err != nil {
				return err
			}
			return os.Symlink("other", p)
		}, `a/link: target "other", image "plain"`},
		{"type", func(d string) error {
			p := filepath.Join(d, "b/pipe")
			if err := os.Remove(p); err != nil {
				return err
			}
			return os.Mkdir(p, 0o755)
		}, "b/pipe: mode drwxr-xr-x"},
		{"missing", func(d string) error { return os.Remove(filepath.Join(d, "setuid")) }, "setuid: only in the image"},
		{"more", func(d string) error { return os.WriteFile(filepath.Join(d, "zz"), nil, 0o644) }, "zz: image: lstat zz: file does not exist"},
		{"link broken", func(d string) error {
			p := filepath.Join(d, "b/second")
			content, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			if err := os.Remove(p); err != nil {
				return err
			}
			return os.WriteFile(p, content, 0o640)
		}, "has 1 names, the image counts 2"},
		{"link made", func(d string) error {
			p := filepath.Join(d, "a/plain2")
			if err := os.Remove(p); err != nil {
				return err
			}
			return os.Link(filepath.Join(d, "a/plain"), p)
		}, "a/plain2: is another name of a file that the image holds apart"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			makeTree(t, dir, append([]string{"a/plain2"}, treeNames...))
			fsys := open(t, toFile(t, fromDir(t, dir, Options{})))
			same(t, dir, fsys)
			if err := c.change(dir); err != nil {
				t.Fatal(err)
			}
			report, err := Compare(t.Context(), dir, fsys, KeepOwner)
			if err != nil {
				t.Fatal(err)
			}
			if report.Same() || !strings.Contains(strings.Join(report.Mismatches, "\n"), c.want) {
				t.Errorf("%d differences, want %q among\n%s", report.Different, c.want, strings.Join(report.Mismatches, "\n"))
			}
		})
	}
}

func rewrite(name string, change func([]byte)) error {
	p, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	change(p)
	return os.WriteFile(name, p, 0o644)
}

func TestOpenRefusesWhatIsNoImage(t *testing.T) {
	img := fromLayers(t, makeLayer(t, fileItem("f", "x")))
	var buf bytes.Buffer
	if err := img.Stream(t.Context(), &buf); err != nil {
		t.Fatal(err)
	}
	p := buf.Bytes()
	for name, q := range map[string][]byte{"empty": nil, "cut off": p[:1100], "other bytes": bytes.Repeat([]byte("x"), 8192)} {
		if _, err := Open(bytes.NewReader(q), int64(len(q))); err == nil || !strings.HasPrefix(err.Error(), "rootfs: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
