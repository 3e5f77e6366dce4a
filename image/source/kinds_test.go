package source

import (
	"bytes"
	"compress/gzip"
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/compression"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/image"
)

// One image in every packing there is becomes one manifest.
func TestEveryPackingGivesTheSameImage(t *testing.T) {
	dir := t.TempDir()
	layers, want := sampleLayers(t)
	img := containerImage(t, "riscv64", layers)
	appendTo := func(name string, img v1.Image) string {
		l, err := layout.Write(filepath.Join(dir, name), empty.Index)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.AppendImage(img, layout.WithAnnotations(map[string]string{tagKey: "v1"})); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, name)
	}
	oci := appendTo("oci", img)
	zst := appendTo("zstd", containerImage(t, "riscv64", layers, tarball.WithCompression(compression.ZStd), tarball.WithMediaType(types.OCILayerZStd)))
	tarDir(t, oci, filepath.Join(dir, "oci.tar"))
	docker := filepath.Join(dir, "docker.tar")
	if err := tarball.WriteToFile(docker, name.MustParseReference("app:v1"), img); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(docker)
	if err != nil {
		t.Fatal(err)
	}
	write(t, gzipped(t, whole), dir, "docker.tar.gz")
	server := httptest.NewServer(registry.New(registry.Logger(discardLog())))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	push(t, host+"/team/app:v1", img)

	s := newStore()
	var id block.ID
	for _, spec := range []string{
		"oci:" + oci, "oci:" + oci + ":v1", "oci:" + zst, "oci-archive:" + filepath.Join(dir, "oci.tar"),
		"docker-archive:" + docker, "docker-archive:" + docker + ".gz", "docker://" + host + "/team/app:v1",
	} {
		p := mustPublish(t, s, spec, Options{})
		if id.IsZero() {
			id = p.Manifest
			checkTree(t, p.tree(t), want)
		}
		if p.Manifest != id {
			t.Errorf("%s: manifest %s, want %s", spec, p.Manifest.Short(), id.Short())
		}
		if p.m.Annotations[image.AnnotationPlatform] != "linux/riscv64" || !strings.Contains(p.m.Annotations[image.AnnotationConfig], `"/bin/sh"`) {
			t.Errorf("%s: annotations %v", spec, p.m.Annotations)
		}
	}
}

func push(t testing.TB, ref string, img v1.Image) {
	t.Helper()
	r, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	tr := remote.DefaultTransport
	if err := remote.Write(r, img, remote.WithTransport(tr)); err != nil {
		t.Fatal(err)
	}
	closeIdle(tr)
}

func gzipped(t testing.TB, p []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestTarAndDirectory(t *testing.T) {
	dir := t.TempDir()
	layers, _ := sampleLayers(t)
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := newStore()
	plain := mustPublish(t, s, "tar:"+write(t, layers[0], dir, "a.tar"), Options{})
	for _, f := range []string{write(t, gzipped(t, layers[0]), dir, "a.tar.gz"), write(t, enc.EncodeAll(layers[0], nil), dir, "a")} {
		if p := mustPublish(t, s, "tar:"+f, Options{}); p.Manifest != plain.Manifest {
			t.Errorf("%s: another manifest", f)
		}
	}
	if got := plain.tree(t); got["etc/os"] != "v1" || got["bin/ash"] != got["bin/sh"] {
		t.Errorf("tree %v", got)
	}
	// The same directory at two places is the same image.
	var ids []block.ID
	for _, at := range []string{"one", "two"} {
		if err := os.MkdirAll(filepath.Join(dir, at, "sub"), 0o755); err != nil {
			t.Fatal(err)
		}
		f := write(t, []byte("hello"), dir, at, "sub", "f")
		for _, p := range []string{f, filepath.Dir(f), filepath.Join(dir, at)} {
			if err := os.Chtimes(p, epoch, epoch); err != nil {
				t.Fatal(err)
			}
		}
		p := mustPublish(t, s, "dir:"+filepath.Join(dir, at), Options{})
		checkTree(t, p.tree(t), map[string]string{"sub": "dir", "sub/f": "hello"})
		if p.m.MediaType != image.MediaTypeEROFS {
			t.Error(p.m.MediaType)
		}
		ids = append(ids, p.Manifest)
	}
	if ids[0] != ids[1] {
		t.Error("a directory's place is part of its image")
	}
}

func TestPlatforms(t *testing.T) {
	dir := t.TempDir()
	l, err := layout.Write(filepath.Join(dir, "oci"), multiArch(t))
	if err != nil {
		t.Fatal(err)
	}
	s := newStore()
	for _, arch := range []string{"amd64", "s390x"} {
		p := mustPublish(t, s, "oci:"+string(l), Options{Platform: "linux/" + arch})
		if got := p.tree(t)["arch"]; got != arch {
			t.Errorf("linux/%s holds %q", arch, got)
		}
	}
	p := mustPublish(t, s, "oci:"+string(l), Options{Platform: "linux/arm/v7"})
	if got := p.tree(t)["arch"]; got != "arm" {
		t.Errorf("linux/arm/v7 holds %q", got)
	}
	for _, platform := range []string{"windows/amd64", "linux/arm/v5"} {
		_, err := publish(s, "oci:"+string(l), Options{Platform: platform})
		wantError(t, platform, err, "no image for platform "+platform, "linux/amd64, linux/arm/v7, linux/s390x")
	}
	for _, bad := range []string{"linux", "a/b/c/d", "/x", "linux/"} {
		_, err := Parse("dir:"+dir, Options{Platform: bad})
		wantError(t, bad, err, "want os/arch")
	}
	// An image for one platform is taken as it is, unless another was asked for.
	one, err := layout.Write(filepath.Join(dir, "one"), empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	layers, _ := sampleLayers(t)
	if err := one.AppendImage(containerImage(t, "mips", layers)); err != nil {
		t.Fatal(err)
	}
	mustPublish(t, s, "oci:"+string(one), Options{})
	_, err = publish(s, "oci:"+string(one), Options{Platform: "linux/amd64"})
	wantError(t, "one platform", err, "linux/mips only")
}

func TestOpenStopsWithItsContext(t *testing.T) {
	layers, _ := sampleLayers(t)
	f := write(t, layers[0], t.TempDir(), "a.tar")
	src, err := Parse("tar:"+f, Options{SpoolDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c, err := src.Open(ctx, func(image.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := c.Bytes.Close(); err != nil {
		t.Error(err)
	}
	if _, err := src.Open(ctx, func(image.Progress) {}); err == nil {
		t.Error("opened with a dead context")
	}
}
