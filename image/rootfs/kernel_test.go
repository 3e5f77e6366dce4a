package rootfs

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/internal/testtool"
)

// mountImage mounts an image file by the kernel and returns where. The test is
// skipped where that is not possible.
func mountImage(t *testing.T, name string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting needs root: run the test as root")
	}
	dir := t.TempDir()
	err := unix.Mount(name, dir, "erofs", unix.MS_RDONLY, "") // the file itself, from Linux 6.12 on
	if errors.Is(err, unix.ENOTBLK) {
		var out []byte
		if out, err = exec.Command(testtool.Debian(t, "mount"), "-t", "erofs", "-o", "loop,ro", name, dir).CombinedOutput(); err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
	}
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EPERM) {
		t.Skipf("this kernel mounts no EROFS here: %v", err)
	}
	if err != nil {
		t.Fatalf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// checkImage has fsck.erofs read the whole image.
func checkImage(t *testing.T, name string) {
	t.Helper()
	out, err := exec.Command(testtool.Debian(t, "fsck.erofs"), "--extract", name).CombinedOutput()
	if err != nil || strings.Contains(string(out), "<E>") {
		t.Fatalf("fsck.erofs: %v\n%s", err, out)
	}
}

func TestKernelReadsWhatTheImageHolds(t *testing.T) {
	name := toFile(t, fromLayers(t, everyKind(t)...))
	dir := mountImage(t, name)
	same(t, dir, open(t, name))

	// Compare leaves out what belongs to hosts, so look at one such attribute.
	named, err := readXattr(func(p []byte) (int, error) {
		return unix.Lgetxattr(filepath.Join(dir, "bin/ping"), "security.capability", p)
	})
	if err != nil || named != capability {
		t.Errorf("capability of ping: %q, %v", named, err)
	}
}

func same(t *testing.T, dir string, fsys *FS) {
	t.Helper()
	report, err := Compare(t.Context(), dir, fsys, KeepOwner)
	if err != nil {
		t.Fatal(err)
	}
	if !report.Same() {
		t.Fatalf("%d differences:\n%.4000s", report.Different, strings.Join(report.Mismatches, "\n"))
	}
}

// TestLargeAttributes have areas that span blocks, behind inodes whose tail must
// not.
func TestLargeAttributes(t *testing.T) {
	large := map[string]string{"user.a": strings.Repeat("a", 4000), "user.b": strings.Repeat("b", 60_000), "user.c": ""}
	var items []item
	for i := range 40 {
		small := map[string]string{"user.x": strings.Repeat("x", 97*i)}
		items = append(items,
			item{name: fmt.Sprintf("d%02d", i), kind: tar.TypeDir, xattrs: small},
			fileItem(fmt.Sprintf("d%02d/%s", i, strings.Repeat("n", 5*i+1)), "x"),
			item{name: fmt.Sprintf("s%02d", i), kind: tar.TypeSymlink, link: strings.Repeat("t", 100*i+1), xattrs: map[string]string{"trusted.x": small["user.x"]}},
		)
		if i%8 == 3 {
			items = append(items, item{name: fmt.Sprintf("h%02d", i), body: strings.Repeat("\x00", 1<<20) + "end", xattrs: small})
		}
	}
	items = append(items, item{name: "large", body: "x", xattrs: large}, item{name: "large-dir", kind: tar.TypeDir, xattrs: large}, fileItem("large-dir/x", ""))
	name := toFile(t, fromLayers(t, makeLayer(t, items...)))
	fsys := open(t, name)
	for _, p := range []string{"large", "large-dir"} {
		if a, err := fsys.Attr(p); err != nil || !maps.Equal(a.Xattrs, large) {
			t.Errorf("%s: %v, %d attributes", p, err, len(a.Xattrs))
		}
	}
	t.Run("fsck", func(t *testing.T) { checkImage(t, name) })
	t.Run("kernel", func(t *testing.T) { same(t, mountImage(t, name), fsys) })
}

func TestFsckIsClean(t *testing.T) {
	checkImage(t, toFile(t, fromLayers(t, everyKind(t)...)))
}

// TestRuntimeUnpacksTheSame compares with umoci, an OCI runtime's unpacker.
func TestRuntimeUnpacksTheSame(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("umoci makes device nodes and owners only as root: run the test as root")
	}
	umoci := testtool.Debian(t, "umoci")
	layers := everyKind(t)
	// umoci 0.4.7 knows no AUFS bookkeeping, and applies a whiteout to what the same
	// layer has put there before, which the specification forbids: only layers
	// on which everyone agrees.
	layers[1] = makeLayer(t,
		fileItem("etc/.wh.removed", ""),
		item{name: "etc/changed", body: "two, and longer", mode: 0o600},
		item{name: "opt/", kind: tar.TypeDir, mode: 0o711},
		fileItem("opt/.wh..wh..opq", ""),
		item{name: "opt/a/", kind: tar.TypeDir, mode: 0o700},
		fileItem("opt/a/new", "put after the opaque mark"),
		fileItem("was/dir", "now a file"),
		dirItem("was/file"), fileItem("was/file/inside", "x"),
		linkItem("lib/four", "lib/one"),
		fileItem("lib64/through", "lands in lib"),
		fileItem(".wh.mixed", ""),
		item{name: "was/", kind: tar.TypeDir, mode: 0o755},
	)
	layout := ociLayout(t, layers)
	bundle := filepath.Join(t.TempDir(), "bundle")
	if out, err := exec.Command(umoci, "unpack", "--image", layout+":test", bundle).CombinedOutput(); err != nil {
		t.Fatalf("umoci: %v\n%s", err, out)
	}
	root := filepath.Join(bundle, "rootfs")
	if err := os.Chtimes(root, stamp, stamp); err != nil { // umoci leaves its own time there
		t.Fatal(err)
	}
	same(t, root, open(t, toFile(t, fromLayers(t, layers...))))
}

// ociLayout writes an OCI image layout with the layers and returns its folder.
func ociLayout(t *testing.T, layers [][]byte) string {
	t.Helper()
	dir := t.TempDir()
	blobs := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name string, p []byte) {
		if err := os.WriteFile(name, p, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	type descriptor struct {
		MediaType   string            `json:"mediaType"`
		Digest      string            `json:"digest"`
		Size        int               `json:"size"`
		Annotations map[string]string `json:"annotations,omitempty"`
	}
	blob := func(kind string, p []byte) descriptor {
		sum := sha256.Sum256(p)
		text := hex.EncodeToString(sum[:])
		write(filepath.Join(blobs, text), p)
		return descriptor{MediaType: "application/vnd.oci.image." + kind, Digest: "sha256:" + text, Size: len(p)}
	}
	encode := func(v any) []byte {
		p, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	var ds []descriptor
	var ids []string
	for _, l := range layers {
		d := blob("layer.v1.tar", l)
		ds, ids = append(ds, d), append(ids, d.Digest)
	}
	config := blob("config.v1+json", encode(map[string]any{
		"architecture": "amd64", "os": "linux", "config": map[string]any{},
		"rootfs": map[string]any{"type": "layers", "diff_ids": ids},
	}))
	manifest := blob("manifest.v1+json", encode(map[string]any{"schemaVersion": 2, "config": config, "layers": ds}))
	manifest.Annotations = map[string]string{"org.opencontainers.image.ref.name": "test"}
	write(filepath.Join(dir, "index.json"), encode(map[string]any{"schemaVersion": 2, "manifests": []descriptor{manifest}}))
	write(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`))
	return dir
}
