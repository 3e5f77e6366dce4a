package rootfs

import (
	"archive/tar"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// everyKind returns three layers with files of every kind, whiteouts of every
// kind, and links and changes that cross layers.
func everyKind(tb testing.TB) [][]byte {
	return append([][]byte{lowestLayer(tb)}, upperLayers(tb)...)
}

func lowestLayer(tb testing.TB) []byte {
	return makeLayer(tb,
		item{name: "./", kind: tar.TypeDir, mode: 0o755, time: stamp},
		dirItem("bin/"),
		item{name: "bin/su", body: "set uid", mode: 0o4755},
		item{name: "bin/wall", body: "set gid", mode: 0o2755, gid: 5},
		item{name: "bin/ping", body: "capable", mode: 0o755, xattrs: map[string]string{"security.capability": capability, "user.note": "x"}},
		item{name: "tmp", kind: tar.TypeDir, mode: 0o1777},
		item{name: "dev/", kind: tar.TypeDir},
		item{name: "dev/null", kind: tar.TypeChar, mode: 0o666, dev: [2]int64{1, 3}},
		item{name: "dev/loop", kind: tar.TypeBlock, mode: 0o660, gid: 6, dev: [2]int64{7, 300}},
		item{name: "dev/pipe", kind: tar.TypeFifo, mode: 0o600},
		dirItem("etc/"),
		item{name: "etc/acl", body: "for seven", mode: 0o640, xattrs: map[string]string{"system.posix_acl_access": acl}},
		fileItem("etc/empty", ""),
		fileItem("etc/removed", "gone in layer 2"),
		fileItem("etc/changed", "one"),
		item{name: "etc/owned", body: "x", uid: 70000, gid: 4_000_000_000},
		item{name: "etc/old", body: "x", time: time.Unix(-86400, 999_999_999)},
		fileItem("etc/"+strings.Repeat("n", nameMax), "long"),
		dirItem("lib/"),
		fileItem("lib/one", "shared by names"),
		linkItem("lib/two", "lib/one"),
		linkItem("/lib/three", "./lib/two"),
		symlinkItem("lib64", "lib"),
		symlinkItem("etc/abs", "/lib/one"),
		symlinkItem("etc/long", strings.Repeat("t", 4000)),
		linkItem("etc/abs2", "etc/abs"),
		dirItem("opt/"), fileItem("opt/a/b/c", "implicit parents"), fileItem("opt/x", "hidden by the opaque directory"),
		dirItem("was/dir/"), fileItem("was/dir/file", "x"),
		fileItem("was/file", "x"),
		dirItem("mixed/"), fileItem("mixed/lower", "x"),
		item{name: "large", body: strings.Repeat("0123456789abcdef", 200_000)},
		item{name: "sparse", body: "head" + strings.Repeat("\x00", 5<<20) + "tail"},
		item{name: "zeros", body: strings.Repeat("\x00", 3<<20+5)},
	)
}

func upperLayers(tb testing.TB) [][]byte {
	return [][]byte{
		makeLayer(tb,
			fileItem("etc/.wh.removed", ""),
			item{name: "etc/changed", body: "two, and longer", mode: 0o600},
			fileItem("opt/kept", "put before the opaque mark"),
			fileItem("opt/.wh..wh..opq", ""),
			fileItem("opt/a/new", "put after it"),
			fileItem("was/dir", "now a file"),
			dirItem("was/file"), fileItem("was/file/inside", "x"),
			linkItem("lib/four", "lib/one"),
			fileItem("lib64/through", "lands in lib"),
			fileItem(".wh..wh.plnk/1.2", "AUFS bookkeeping"),
			fileItem("mixed/upper", "stays"), fileItem(".wh.mixed", ""),
			item{name: "tmp/", kind: tar.TypeDir, mode: 0o1777, time: stamp.Add(time.Hour)},
		),
		makeLayer(tb,
			fileItem("etc/changed", "three"),
			fileItem("lib/.wh.one", ""),
			fileItem("lib/two", "a file of its own again"),
			symlinkItem("was/dir", "file"),
			fileItem("./.wh.nothing", ""),
		),
	}
}

// flattened is what everyKind amounts to: type and mode, and content or target.
var flattened = map[string]string{
	"bin": "drwxr-xr-x", "bin/su": "urwxr-xr-x set uid", "bin/wall": "grwxr-xr-x set gid", "bin/ping": "-rwxr-xr-x capable",
	"tmp": "dtrwxrwxrwx",
	"dev": "drwxr-xr-x", "dev/null": "Dcrw-rw-rw-", "dev/loop": "Drw-rw----", "dev/pipe": "prw-------",
	"etc": "drwxr-xr-x", "etc/acl": "-rw-r----- for seven", "etc/empty": "-rw-r--r-- ", "etc/changed": "-rw-r--r-- three",
	"etc/owned": "-rw-r--r-- x", "etc/old": "-rw-r--r-- x", "etc/abs": "Lrwxrwxrwx /lib/one", "etc/abs2": "Lrwxrwxrwx /lib/one",
	"etc/" + strings.Repeat("n", 255): "-rw-r--r-- long", "etc/long": "Lrwxrwxrwx " + strings.Repeat("t", 4000),
	"lib": "drwxr-xr-x", "lib/two": "-rw-r--r-- a file of its own again", "lib/three": "-rw-r--r-- shared by names",
	"lib/four": "-rw-r--r-- shared by names", "lib/through": "-rw-r--r-- lands in lib", "lib64": "Lrwxrwxrwx lib",
	"opt": "drwxr-xr-x", "opt/kept": "-rw-r--r-- put before the opaque mark", "opt/a": "drwxr-xr-x", "opt/a/new": "-rw-r--r-- put after it",
	"was": "drwxr-xr-x", "was/dir": "Lrwxrwxrwx file", "was/file": "drwxr-xr-x", "was/file/inside": "-rw-r--r-- x",
	"mixed": "drwxr-xr-x", "mixed/upper": "-rw-r--r-- stays",
	"large":  "-rw-r--r-- " + strings.Repeat("0123456789abcdef", 200_000),
	"sparse": "-rw-r--r-- head" + strings.Repeat("\x00", 5<<20) + "tail",
	"zeros":  "-rw-r--r-- " + strings.Repeat("\x00", 3<<20+5),
}

func TestLayersFlatten(t *testing.T) {
	img := fromLayers(t, everyKind(t)...)
	fsys := open(t, toFile(t, img))
	got := map[string]string{}
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == "." {
			return err
		}
		a, err := fsys.Attr(p)
		if err != nil {
			return err
		}
		got[p] = a.Mode.String()
		switch {
		case a.Mode.IsRegular():
			body, err := fs.ReadFile(fsys, p)
			got[p] += " " + string(body)
			return err
		case a.Mode&fs.ModeSymlink != 0:
			got[p] += " " + a.Target
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range slices.Sorted(maps.Keys(flattened)) {
		if got[p] != flattened[p] {
			t.Errorf("%.60s: %.80q, want %.80q", p, got[p], flattened[p])
		}
		delete(got, p)
	}
	for p := range got {
		t.Errorf("%s is in the image, but in no layer", p)
	}

	st := img.Stats()
	want := Stats{Layers: 3, Files: 19, Dirs: 11, Symlinks: 4, Specials: 3, Links: 2, SkippedEntries: 1}
	st.Bytes, st.Metadata = 0, 0
	if want.Holes = 7<<20 + 5; st != want {
		t.Errorf("stats %+v, want %+v", st, want)
	}
}

func TestAttributesSurvive(t *testing.T) {
	fsys := open(t, toFile(t, fromLayers(t, everyKind(t)...)))
	attr := func(p string) Attr {
		t.Helper()
		a, err := fsys.Attr(p)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for p, want := range map[string]time.Time{
		".": stamp, "etc": stamp, "etc/old": time.Unix(-86400, 999_999_999), "tmp": stamp.Add(time.Hour),
		"opt/a": time.Unix(0, 0), // described by no layer since the opaque mark
		"mixed": time.Unix(0, 0), // hidden and made again by the same layer
		"was":   time.Unix(0, 0),
	} {
		if got := attr(p).ModTime; !got.Equal(want) {
			t.Errorf("%s: time %v, want %v", p, got, want)
		}
	}
	if a := attr("etc/owned"); a.UID != 70000 || a.GID != 4_000_000_000 {
		t.Errorf("owner %d:%d", a.UID, a.GID)
	}
	if a := attr("bin/ping"); !maps.Equal(a.Xattrs, map[string]string{"security.capability": capability, "user.note": "x"}) {
		t.Errorf("ping's attributes: %q", a.Xattrs)
	}
	if a := attr("etc/acl"); a.Xattrs["system.posix_acl_access"] != acl {
		t.Errorf("ACL: %q", a.Xattrs)
	}
	if a := attr("dev/loop"); a.Rdev != 7<<8|300&0xff|300&^0xff<<12 {
		t.Errorf("loop device %#x", a.Rdev)
	}
	three, four := attr("lib/three"), attr("lib/four")
	if three.Inode != four.Inode || three.Nlink != 2 || attr("lib/two").Nlink != 1 {
		t.Errorf("links: three %+v, four %+v, two %+v", three, four, attr("lib/two"))
	}
	if a := attr("etc/abs"); a.Inode != attr("etc/abs2").Inode || a.Nlink != 2 {
		t.Errorf("a link to a symbolic link is no longer one: %+v", a)
	}
	if a := attr("lib"); a.Nlink != 2 {
		t.Errorf("lib has %d links, want 2", a.Nlink)
	}
	if a := attr("."); a.Nlink != 2+8 {
		t.Errorf("the root has %d links, want 10", a.Nlink)
	}
}
