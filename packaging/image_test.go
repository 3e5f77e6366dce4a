package packaging_test

import (
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/zonecache/cached/internal/testtool"
)

// The image is built twice to the same bytes, runs as nobody in particular, and its only
// program works in it.
func TestTheImage(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("buildah mounts images as root")
	}
	once(t)
	buildah := testtool.Debian(t, "buildah")
	dir := t.TempDir()
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
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
	origin := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte("<Error><Code>NoSuchKey</Code></Error>"))
	}))
	defer origin.Close()
	origin.Config.ErrorLog = log.New(io.Discard, "", 0) // of those that do not trust it
	bundle := filepath.Join(dir, "bundle.crt")
	if err := os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: origin.Certificate().Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	storage := []string{"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), "--storage-driver", "vfs"}
	store := func(args ...string) string { t.Helper(); return run(buildah, append(storage, args...)...) }
	t.Setenv("BUILDAH_ISOLATION", "chroot")
	t.Setenv("TMPDIR", dir)
	build := func() string {
		t.Helper()
		out := t.TempDir()
		program := strings.Join(append([]string{buildah}, storage...), " ") + " bud --no-cache --timestamp 0 --iidfile " + out + "/id"
		if err := runMake("image", "OUT="+out, "CA_BUNDLE="+bundle, "IMAGE_BUILD="+program); err != nil {
			t.Fatal(err)
		}
		id, err := os.ReadFile(out + "/id")
		if err != nil {
			t.Fatal(err)
		}
		return string(id)
	}
	first, second := build(), build()
	if first != second || first == "" {
		t.Errorf("built to %q and %q", first, second)
	}
	// As the chart's README has it, and what nodes may name it by is the same, too.
	registry := startRegistry(t)
	for tag, id := range map[string]string{"first": first, "second": second} {
		store("push", "--tls-verify=false", id, "docker://"+registry+"/cached:"+tag)
	}
	if a, b := digestAt(t, registry, "first"), digestAt(t, registry, "second"); a != b {
		t.Errorf("pushed to %s and %s", a, b)
	}
	var image struct {
		OCIv1 struct {
			Architecture string
			Config       struct {
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
	if got := image.OCIv1.Architecture; got != runtime.GOARCH {
		t.Errorf("it is for %s, built on %s", got, runtime.GOARCH)
	}
	container := store("from", "--pull-never", first)
	mounted := store("mount", container)
	defer store("rm", container)
	defer store("umount", container)
	if out := run("chroot", "--userspec=65532:65532", mounted, "/usr/bin/cached", "version"); !strings.HasPrefix(out, "cached ") {
		t.Error(out)
	}
	// Its CA bundle is what it trusts: the origin's certificate is known from nowhere else.
	t.Setenv("SSL_CERT_FILE", "")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAIMAGETESTONLY000")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test-only/of/no/account/at/all")
	ask := []string{"doctor", "--l2-size", "0", "--data-dir", "/nowhere", "--origin", "s3://images?endpoint=" + origin.URL}
	inside := exec.Command("chroot", append([]string{"--userspec=65532:65532", mounted, "/usr/bin/cached"}, ask...)...)
	if out, err := inside.CombinedOutput(); !regexp.MustCompile(`(?m)^ok +origin .* answers in `).Match(out) {
		t.Errorf("the image does not reach an origin over TLS: %v\n%s", err, out)
	}
	if out, err := exec.Command(filepath.Join(mounted, "usr/bin/cached"), ask...).CombinedOutput(); !strings.Contains(string(out), "x509") {
		t.Errorf("whoever has not the bundle trusts the origin, too: %v\n%s", err, out)
	}
	certificates, err := os.ReadFile(filepath.Join(mounted, "etc/ssl/certs/ca-certificates.crt"))
	if err != nil {
		t.Fatal(err)
	}
	checkSBOM(t, filepath.Join(mounted, "usr/share/doc/cached/cached.cdx.json"), filepath.Join(mounted, "usr/bin/cached"),
		map[string]string{"/etc/ssl/certs/ca-certificates.crt": fmt.Sprintf("%x", sha256.Sum256(certificates))})
	program, err := elf.Open(filepath.Join(mounted, "usr/bin/cached"))
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	if libraries, err := program.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("it is not static: %v, %v", libraries, err)
	}
}
