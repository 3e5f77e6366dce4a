package packaging_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecache/cached/internal/testtool"
	"github.com/zonecache/cached/internal/testtool/pin"
)

// The image is built twice to the same bytes, runs as nobody in particular, and its only
// program works in it.
func TestTheImage(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("buildah mounts images as root")
	}
	buildah := testtool.Debian(t, "buildah")
	root, err := pin.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "BUILDAH_ISOLATION=chroot", "TMPDIR="+dir)
		out, err := cmd.Output()
		if err != nil {
			var text []byte
			if e, ok := err.(*exec.ExitError); ok { //nolint:errorlint // of this very call
				text = e.Stderr
			}
			t.Fatalf("%s: %v\n%s", cmd, err, text)
		}
		return strings.TrimSpace(string(out))
	}
	context := filepath.Join(dir, "context")
	if err := os.Mkdir(context, 0o755); err != nil {
		t.Fatal(err)
	}
	run("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(context, "cached"), "./cmd/cached")
	if err := os.WriteFile(filepath.Join(context, "ca-certificates.crt"), []byte("# none\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	storage := []string{"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), "--storage-driver", "vfs"}
	store := func(args ...string) string { t.Helper(); return run(buildah, append(storage, args...)...) }
	build := func() string {
		return store("bud", "--quiet", "--no-cache", "--timestamp", "0", "-f", filepath.Join(root, "packaging", "Dockerfile"), context)
	}
	first, second := build(), build()
	if first != second || first == "" {
		t.Errorf("built to %q and %q", first, second)
	}
	var image struct {
		OCIv1 struct {
			Config struct {
				User       string
				Entrypoint []string
			} `json:"config"`
		}
	}
	if err := json.Unmarshal([]byte(store("inspect", "--type", "image", first)), &image); err != nil {
		t.Fatal(err)
	}
	if c := image.OCIv1.Config; c.User != "65532:65532" || len(c.Entrypoint) != 1 || c.Entrypoint[0] != "/usr/bin/cached" {
		t.Errorf("%+v", c)
	}
	container := store("from", "--pull-never", first)
	mounted := store("mount", container)
	defer store("rm", container)
	defer store("umount", container)
	if out := run("chroot", "--userspec=65532:65532", mounted, "/usr/bin/cached", "version"); !strings.HasPrefix(out, "cached ") {
		t.Error(out)
	}
}
