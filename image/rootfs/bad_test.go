package rootfs

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestBadLayersAreRefused(t *testing.T) {
	good := makeLayer(t, dirItem("d/"), fileItem("d/file", strings.Repeat("x", 5000)), symlinkItem("loop", "loop"), symlinkItem("file", "d/file"))
	entries := func(items ...item) []byte { return makeLayer(t, items...) }
	for _, c := range []struct {
		name  string
		layer []byte
		want  error
		says  string
	}{
		{"empty stream", nil, ErrMalformed, "end mark"},
		{"garbage", bytes.Repeat([]byte("garbage!"), 200), ErrMalformed, "invalid tar header"},
		{"gzip", append([]byte{0x1f, 0x8b, 8}, make([]byte, 2000)...), ErrMalformed, "invalid tar header"},
		{"cut in a header", good[:1200+512], ErrMalformed, "cut off"},
		{"cut behind an extended header", good[:512*5], ErrMalformed, "end mark"},
		{"cut in a content", good[:512*8], ErrMalformed, `"d/file": malformed layer: it is cut off`},
		{"cut between entries", good[:len(good)-1024], ErrMalformed, "end mark"},
		{"leaves the root", entries(fileItem("../x", "")), ErrMalformed, `"../x"`},
		{"leaves the root later", entries(fileItem("a/../../x", "")), ErrMalformed, `"a/../../x"`},
		{"is the parent", entries(dirItem("..")), ErrMalformed, "leaves the root"},
		{"no name", entries(item{name: "", kind: tar.TypeReg}), ErrMalformed, "empty name"},
		{"root as a file", entries(fileItem("./.", "x")), ErrMalformed, "root must be a directory"},
		{"long name", entries(fileItem(strings.Repeat("n", 256), "")), ErrMalformed, "256 bytes"},
		{"long path", entries(fileItem(strings.Repeat("n/", 2048)+"f", "")), ErrMalformed, "4097 bytes"},
		{"long target", entries(symlinkItem("s", strings.Repeat("n", 4096))), ErrMalformed, "4096 bytes"},
		{"no target", entries(symlinkItem("s", "")), ErrMalformed, "0 bytes"},
		{"link to nothing", entries(linkItem("l", "missing")), ErrMalformed, `"missing"`},
		{"link to nothing in nothing", entries(linkItem("l", "no/where")), ErrMalformed, `"no/where"`},
		{"link to itself", entries(linkItem("l", "l")), ErrMalformed, "does not exist"},
		{"link to a directory", entries(dirItem("d"), linkItem("l", "d")), ErrMalformed, "directory"},
		{"link to the root", entries(linkItem("l", "/")), ErrMalformed, "does not exist"},
		{"link out of the root", entries(linkItem("l", "../../etc/passwd")), ErrMalformed, "leaves the root"},
		{"below a file", entries(fileItem("f", ""), fileItem("f/x", "")), ErrMalformed, `"f" on the way`},
		{"below a symbolic link in a circle", entries(symlinkItem("a", "b"), symlinkItem("b", "a"), fileItem("a/x", "")), ErrMalformed, "40 symbolic links"},
		{"whiteout of nothing", entries(fileItem("d/.wh.", "")), ErrMalformed, "whiteout"},
		{"whiteout of the parent", entries(fileItem("d/.wh...", "")), ErrMalformed, "whiteout"},
		{"below a whiteout", entries(fileItem(".wh.d/x", "")), ErrMalformed, "below a whiteout"},
		{"large attribute", entries(item{name: "f", xattrs: map[string]string{"user.x": strings.Repeat("v", 1<<16)}}), ErrUnsupported, "65536"},
		{"large attributes", entries(item{name: "f", xattrs: manyXattrs(5, 60_000)}), ErrUnsupported, "300"},
		{"long attribute name", entries(item{name: "f", xattrs: map[string]string{"user." + strings.Repeat("n", 255): ""}}), ErrUnsupported, "260"},
		{"device out of range", entries(item{name: "c", kind: tar.TypeChar, dev: [2]int64{1 << 12, 0}}), ErrUnsupported, "4096:0"},
		{"sparse bomb", sparseBomb, ErrUnsupported, "1152921504606846976 bytes"},
		{"unknown type", entries(item{name: "v", kind: 'V'}), ErrUnsupported, "'V'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBuilder(t, Options{})
			err := b.AddTar(t.Context(), bytes.NewReader(c.layer))
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), "rootfs: layer 1: ") {
				t.Fatalf("error %q, want %q saying %q", err, c.want, c.says)
			}
			if _, again := b.Finish(t.Context()); !errors.Is(again, c.want) {
				t.Fatalf("Finish after a bad layer: %v", again)
			}
		})
	}
}

// sparseBomb is an archive of 2 KiB with a sparse file of 1 EiB.
var sparseBomb = func() []byte {
	block := func(name, kind, body string) []byte {
		p := make([]byte, 512+align(len(body), 512))
		copy(p, name)
		copy(p[100:], "0000644\x000000000\x000000000\x00")
		copy(p[124:], fmt.Sprintf("%011o\x0000000000000\x00        %s", len(body), kind))
		copy(p[257:], "ustar\x0000")
		copy(p[512:], body)
		sum := 0
		for _, b := range p[:512] {
			sum += int(b)
		}
		copy(p[148:], fmt.Sprintf("%06o\x00 ", sum))
		return p
	}
	records := ""
	for _, r := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=f", "GNU.sparse.realsize=1152921504606846976"} {
		records += fmt.Sprintf("%d %s\n", len(r)+4, r)
	}
	p := append(block("x", "x", records), block("f", "0", "1\n1152921504606846975\n1\n"+strings.Repeat("\x00", 512-24)+"e")...)
	return append(p, make([]byte, 1024)...)
}()

func manyXattrs(n, size int) map[string]string {
	named := map[string]string{}
	for i := range n {
		named["user."+strings.Repeat("x", i+1)] = strings.Repeat("v", size)
	}
	return named
}

// TestSymbolicLinksStayInside: what a real runtime would resolve inside the
// container's root must not mean anything else here.
func TestSymbolicLinksStayInside(t *testing.T) {
	fsys := open(t, toFile(t, fromLayers(t, makeLayer(t,
		symlinkItem("up", "../../../../tmp"),
		symlinkItem("abs", "/var/lib"),
		symlinkItem("hop", "abs/../up"),
		fileItem("up/in-tmp", "1"),
		fileItem("/abs/in-lib", "2"),
		fileItem("hop/also", "3"), // the parent of /var/lib is /var
		linkItem("linked", "abs/in-lib"),
	))))
	for name, inode := range map[string]string{"tmp/in-tmp": "tmp/in-tmp", "var/lib/in-lib": "linked", "var/up/also": "var/up/also"} {
		a, err := fsys.Attr(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if b, err := fsys.Attr(inode); err != nil || a.Inode != b.Inode {
			t.Errorf("%s and %s: %v, inodes %d and %d", name, inode, err, a.Inode, b.Inode)
		}
	}
}

// TestLaterEntryWins: archives that were appended to hold names twice.
func TestLaterEntryWins(t *testing.T) {
	fsys := open(t, toFile(t, fromLayers(t, makeLayer(t,
		fileItem("f", "first"), linkItem("g", "f"), fileItem("./f", "second"),
		dirItem("d"), fileItem("d/x", ""), item{name: "d/", kind: tar.TypeDir, mode: 0o700},
		fileItem("e", ""), dirItem("e"),
	))))
	for name, want := range map[string]string{"f": "-rw-r--r-- 1 6", "g": "-rw-r--r-- 1 5", "d": "drwx------", "d/x": "-rw-r--r-- 1 0", "e": "drwxr-xr-x"} {
		a, err := fsys.Attr(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := a.Mode.String()
		if a.Mode.IsRegular() {
			got += " " + string(rune('0'+a.Nlink)) + " " + string(rune('0'+a.Size))
		}
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestUnknownAttributesAreCounted(t *testing.T) {
	img := fromLayers(t, makeLayer(t, item{name: "f", xattrs: map[string]string{"system.nfs4_acl": "x", "btrfs.y": "z", "trusted.kept": "1", "user.": "no name"}}))
	if st := img.Stats(); st.SkippedXattrs != 3 {
		t.Errorf("%d attributes skipped, want 3", st.SkippedXattrs)
	}
	a, err := open(t, toFile(t, img)).Attr("f")
	if err != nil || len(a.Xattrs) != 1 || a.Xattrs["trusted.kept"] != "1" {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestLayerIsReadToItsEnd(t *testing.T) {
	broken := errors.New("checksum of the compressed stream is wrong")
	layer := io.MultiReader(bytes.NewReader(makeLayer(t, fileItem("f", "x"))), bytes.NewReader(make([]byte, 8192)), failing{broken})
	if err := newBuilder(t, Options{}).AddTar(t.Context(), layer); !errors.Is(err, broken) {
		t.Fatalf("AddTar: %v, want the stream's error", err)
	}
	head := makeLayer(t, fileItem("f", strings.Repeat("x", 9000)))[:2000]
	if err := newBuilder(t, Options{}).AddTar(t.Context(), io.MultiReader(bytes.NewReader(head), failing{broken})); !errors.Is(err, broken) || errors.Is(err, ErrMalformed) {
		t.Fatalf("AddTar: %v, want the stream's error and no blame on the archive", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestContextStopsEveryStep(t *testing.T) {
	stopped, stop := context.WithCancel(t.Context())
	stop()
	layer := makeLayer(t, fileItem("f", "x"))
	if err := newBuilder(t, Options{}).AddTar(stopped, bytes.NewReader(layer)); !errors.Is(err, context.Canceled) {
		t.Errorf("AddTar: %v", err)
	}
	if err := newBuilder(t, Options{}).AddDir(stopped, "."); !errors.Is(err, context.Canceled) {
		t.Errorf("AddDir: %v", err)
	}
	img := fromLayers(t, layer)
	if err := img.Stream(stopped, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("Stream: %v", err)
	}
	full := errors.New("disk full")
	if err := img.Stream(t.Context(), refusing{full}); !errors.Is(err, full) {
		t.Errorf("Stream to a full disk: %v", err)
	}
}

type refusing struct{ err error }

func (r refusing) Write([]byte) (int, error) { return 0, r.err }

func FuzzAddTar(f *testing.F) {
	for _, layer := range upperLayers(f) {
		f.Add(layer)
	}
	f.Add(makeLayer(f, symlinkItem("a", "/b/../c"), fileItem("a/x", "y"), linkItem("z", "a/x"), fileItem("a/.wh..wh..opq", "")))
	f.Fuzz(func(t *testing.T, layer []byte) {
		b := newBuilder(t, Options{})
		if err := b.AddTar(t.Context(), bytes.NewReader(everyKindSmall)); err != nil {
			t.Fatal(err)
		}
		if b.AddTar(t.Context(), bytes.NewReader(layer)) != nil {
			return
		}
		img := finish(t, b)
		if img.Size() > 1<<26 {
			return
		}
		var out bytes.Buffer
		if err := img.Stream(t.Context(), &out); err != nil {
			t.Fatal(err)
		}
		walkAll(t, out.Bytes())
	})
}
