package images

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPack packs what an overlay can leave in its upper directory.
func TestPack(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root makes whiteouts: run the test as root")
	}
	dir := t.TempDir()
	tree, below, out := filepath.Join(dir, "upper"), filepath.Join(dir, "lower"), filepath.Join(dir, "out.tar.gz")
	old := time.Date(2020, 2, 3, 4, 5, 6, 7, time.UTC)
	long := strings.Repeat("long-name/", 15)
	steps := []error{
		os.MkdirAll(filepath.Join(below, "was-there"), 0o755),
		os.MkdirAll(filepath.Join(tree, "was-there"), 0o755),
		os.MkdirAll(filepath.Join(tree, "new"), 0o700),
		os.MkdirAll(filepath.Join(tree, long), 0o755),
		os.WriteFile(filepath.Join(tree, "new", "a"), []byte("hello"), 0o644),
		os.Link(filepath.Join(tree, "new", "a"), filepath.Join(tree, "new", "b")),
		os.Symlink("a", filepath.Join(tree, "new", "c")),
		os.Chmod(filepath.Join(tree, "new", "a"), 0o755|os.ModeSetuid),
		os.Lchown(filepath.Join(tree, "new", "c"), 33, 34),
		os.Chtimes(filepath.Join(tree, "new", "a"), old, old),
		unix.Setxattr(filepath.Join(tree, "new", "a"), "user.mark", []byte("x"), 0),
		unix.Setxattr(filepath.Join(tree, "new"), "trusted.overlay.opaque", []byte("y"), 0),
		unix.Setxattr(filepath.Join(tree, "was-there"), "trusted.overlay.opaque", []byte("y"), 0),
		unix.Setxattr(filepath.Join(tree, "was-there"), "trusted.overlay.origin", []byte("handle"), 0),
		unix.Mknod(filepath.Join(tree, "gone"), unix.S_IFCHR, 0),
		unix.Mkfifo(filepath.Join(tree, "pipe"), 0o600),
		unix.Mknod(filepath.Join(tree, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))),
	}
	if err := errors.Join(steps...); err != nil {
		t.Fatal(err)
	}
	if err := settle(tree, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	made, err := pack(t.Context(), tree, []string{below}, out)
	if err != nil {
		t.Fatal(err)
	}
	got := entriesOf(t, out)
	want := []string{
		".wh.gone", "new/", "new/a", "new/b", "new/c", "null", "pipe", "was-there/", "was-there/.wh..wh..opq",
	}
	for at := long; at != "./"; at = filepath.Dir(strings.TrimSuffix(at, "/")) + "/" {
		want = append(want, at)
	}
	slices.Sort(want)
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
		t.Errorf("entries %q, want %q", names, want)
	}
	for name, want := range map[string]string{
		"new/a":      "48 0 0 2541 1580702706  map[SCHILY.xattr.user.mark:x]",
		"new/b":      "49 0 0 2541 1580702706 new/a map[]",
		"new/c":      "50 33 34 511 1735689600 a map[]",
		"new/":       "53 0 0 448 1735689600  map[]",
		"was-there/": "53 0 0 493 1735689600  map[]",
		".wh.gone":   "48 0 0 420 1735689600  map[]",
	} {
		if got[name].about != want {
			t.Errorf("%s: %q, want %q", name, got[name].about, want)
		}
	}
	if made.Files != len(want) || made.Unpacked != 5 {
		t.Errorf("%d entries of %d bytes, want %d of 5", made.Files, made.Unpacked, len(want))
	}
	again, err := pack(t.Context(), tree, []string{below}, out)
	if err != nil || again != made {
		t.Errorf("packed %+v, then %+v, %v", made, again, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := pack(ctx, tree, nil, out); !errors.Is(err, context.Canceled) {
		t.Errorf("packed although cancelled: %v", err)
	}
	if err := unix.Setxattr(filepath.Join(tree, "new"), "trusted.overlay.redirect", []byte("/old"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := pack(t.Context(), tree, nil, out); err == nil || !strings.Contains(err.Error(), "new: the overlay keeps it elsewhere") {
		t.Errorf("packed a directory whose files are elsewhere: %v", err)
	}
}

func TestTailSaysWhy(t *testing.T) {
	for text, want := range map[string]string{
		"a\nE: Unable\nb\nE: failed\n": "E: Unable; E: failed",
		"a\nb\nc\nd\n":                 "b; c; d",
		"":                             "",
	} {
		var got tail
		for chunk := range strings.SplitSeq(strings.Repeat("x", 3*tailSize)+"\n"+text, "") {
			if _, err := got.Write([]byte(chunk)); err != nil {
				t.Fatal(err)
			}
		}
		if len(got) > tailSize {
			t.Errorf("keeps %d bytes", len(got))
		}
		if why := got.why(); text != "" && why != want {
			t.Errorf("%q: %q, want %q", text, why, want)
		}
	}
}
