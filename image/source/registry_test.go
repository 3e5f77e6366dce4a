package source

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/zonecache/cached/internal/testtool"
)

var epoch = time.Unix(1e9, 0)

func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }

func closeIdle(rt http.RoundTripper) {
	if tr, ok := rt.(*http.Transport); ok {
		tr.CloseIdleConnections()
	}
}

// multiArch is one image for three platforms, each with a file that says which,
// and an attestation among them.
func multiArch(t testing.TB) v1.ImageIndex {
	t.Helper()
	idx := v1.ImageIndex(empty.Index)
	for _, p := range []v1.Platform{
		{OS: "unknown", Architecture: "unknown"},
		{OS: "linux", Architecture: "amd64"},
		{OS: "linux", Architecture: "arm", Variant: "v7"},
		{OS: "linux", Architecture: "s390x"},
	} {
		img := containerImage(t, p.Architecture, [][]byte{tarOf(t, file{"arch", p.Architecture, 0}), tarOf(t, file{"etc/common", "x", 0})})
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &p}})
	}
	return idx
}

// A registry as people run it, with an image for several platforms.
func TestRealRegistry(t *testing.T) {
	program := testtool.Debian(t, "docker-registry")
	dir, addr := t.TempDir(), fmt.Sprintf("127.0.0.1:%d", testtool.FreePort(t))
	config := write(t, []byte(fmt.Sprintf("version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: %s\nhttp:\n  addr: %s\n", filepath.Join(dir, "data"), addr)), dir, "config.yml")
	testtool.Start(t, exec.Command(program, "serve", config), testtool.Answering("http://"+addr+"/v2/"))

	ref, err := name.ParseReference(addr + "/team/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	tr := http.DefaultTransport.(*http.Transport).Clone()
	defer tr.CloseIdleConnections()
	if err := remote.WriteIndex(ref, multiArch(t), remote.WithTransport(tr)); err != nil {
		t.Fatal(err)
	}
	s := newStore()
	for _, arch := range []string{"amd64", "s390x"} {
		p := mustPublish(t, s, "docker://"+addr+"/team/app:v1", Options{Platform: "linux/" + arch})
		if got := p.tree(t); got["arch"] != arch || got["etc/common"] != "x" {
			t.Errorf("linux/%s holds %v", arch, got)
		}
	}
	_, err = publish(s, "docker://"+addr+"/team/app:v1", Options{Platform: "plan9/amd64"})
	wantError(t, "platform", err, "no image for platform plan9/amd64", "linux/s390x")
	_, err = publish(s, "docker://"+addr+"/team/app:v2", Options{})
	wantError(t, "tag", err, "no such image or tag", "v2")
}

func TestCredentials(t *testing.T) {
	next := registry.New(registry.Logger(discardLog()))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != "ann" || p != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	}))
	defer server.Close()
	ref, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	layers, _ := sampleLayers(t)
	tr := http.DefaultTransport.(*http.Transport).Clone()
	defer tr.CloseIdleConnections()
	if err := remote.Write(ref, containerImage(t, "amd64", layers), remote.WithTransport(tr), remote.WithAuth(&authn.Basic{Username: "ann", Password: "secret"})); err != nil {
		t.Fatal(err)
	}
	mustPublish(t, newStore(), "docker://"+ref.Name(), Options{Keychain: keys{&authn.Basic{Username: "ann", Password: "secret"}}})
	for what, k := range map[string]authn.Authenticator{"none": authn.Anonymous, "wrong": &authn.Basic{Username: "ann", Password: "hunter2"}} {
		_, err := publish(newStore(), "docker://"+ref.Name(), Options{Keychain: keys{k}})
		wantError(t, what, err, "refuses access", "docker login")
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

type keys struct{ a authn.Authenticator }

func (k keys) Resolve(authn.Resource) (authn.Authenticator, error) { return k.a, nil }

func TestPlainHTTPStaysOnThisMachine(t *testing.T) {
	asked := false
	next := roundTrip(func(*http.Request) (*http.Response, error) { asked = true; return nil, io.EOF })
	for url, allowed := range map[string]bool{
		"http://10.0.0.1:5000/v2/": false, "http://registry.local/v2/": false, "http://localhost.evil.example/v2/": false,
		"http://127.0.0.1:5000/v2/": true, "http://[::1]:5000/v2/": true, "http://localhost:5000/v2/": true, "https://10.0.0.1/v2/": true,
	} {
		for _, plain := range []bool{false, true} {
			asked = false
			req := httptest.NewRequest(http.MethodGet, url, http.NoBody)
			_, err := tlsOnly{next, plain}.RoundTrip(req)
			if want := allowed || plain; asked != want {
				t.Errorf("%s with plain=%v: asked %v, want %v (%v)", url, plain, asked, want, err)
			}
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
