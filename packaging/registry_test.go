package packaging_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/zonecache/cached/internal/testtool"
)

// startRegistry runs a registry until the test ends and returns its address.
func startRegistry(t *testing.T) string {
	t.Helper()
	program := testtool.Debian(t, "docker-registry")
	dir, address := t.TempDir(), fmt.Sprintf("127.0.0.1:%d", testtool.FreePort(t))
	config := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: %s\nhttp:\n  addr: %s\n", dir, address), 0o600); err != nil {
		t.Fatal(err)
	}
	testtool.Start(t, exec.Command(program, "serve", config), testtool.Answering("http://"+address+"/v2/"))
	return address
}

// digestAt is the digest by which a registry knows a tag of cached.
func digestAt(t *testing.T, registry, tag string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, "http://"+registry+"/v2/cached/manifests/"+tag, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	digest := resp.Header.Get("Docker-Content-Digest")
	if resp.StatusCode != http.StatusOK || digest == "" {
		t.Fatalf("%s: %s, digest %q", tag, resp.Status, digest)
	}
	return digest
}
