package source

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/zonecache/cached/block/blocktest"
)

func TestBadSpecs(t *testing.T) {
	dir := t.TempDir()
	f := write(t, []byte("no archive of any kind, but long enough to have had a header if it were one"), dir, "f")
	layers, _ := sampleLayers(t)
	gz := gzipped(t, bytes.Repeat(layers[0], 1))
	cut := write(t, gz[:len(gz)/2], dir, "cut.tar.gz")
	cutTar := write(t, layers[0][:len(layers[0])/2], dir, "cut.tar")
	write(t, []byte("{}"), dir, "index.json")
	for spec, want := range map[string][]string{
		"":                                {"want KIND:WHERE", "docker://REF"},
		"/usr/lib":                        {"want KIND:WHERE"},
		"zip:" + f:                        {`unknown kind "zip"`, "oci-archive:FILE"},
		"dir:":                            {"want KIND:WHERE"},
		"dir:" + dir + "/nothing":         {"no such file", "nothing"},
		"dir:" + f:                        {"not a directory"},
		"tar:" + dir + "/nothing":         {"no such file"},
		"tar:" + dir:                      {"is a directory"},
		"tar:" + f:                        {"not a tar archive", f},
		"tar:" + cut:                      {"cut off", "gzip", cut},
		"tar:" + cutTar:                   {"cut off", cutTar},
		"oci:" + filepath.Dir(dir):        {"not an OCI image layout"},
		"oci:" + dir + "/nothing:v1":      {"no such file"},
		"oci:" + dir:                      {"holds no image"},
		"oci:" + dir + ":v9":              {`no tag "v9"`},
		"oci-archive:" + f:                {"not an OCI archive", f},
		"oci-archive:" + cutTar:           {cutTar},
		"docker-archive:" + f:             {"not an archive of docker save", f},
		"docker://UPPER/case":             {"docker://UPPER/case"},
		"docker://registry.invalid/a:b:c": {"a:b:c"},
		"file:" + dir:                     {"is a directory"},
		"file:" + os.DevNull:              {"not a regular file"},
		"file:" + dir + "/nothing":        {"no such file"},
	} {
		s := newStore()
		_, err := publish(s, spec, Options{SpoolDir: dir})
		wantError(t, spec, err, want...)
		if len(s.refs) != 0 {
			t.Errorf("%s: a ref was written", spec)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "cached-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("spools left: %v %v", left, err)
	}
}

func TestTagsAreListed(t *testing.T) {
	layers, _ := sampleLayers(t)
	l, err := layout.Write(filepath.Join(t.TempDir(), "oci"), empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	for i, tag := range []string{"old", "new"} {
		if err := l.AppendImage(containerImage(t, "amd64", layers[:i+1]), layout.WithAnnotations(map[string]string{tagKey: tag})); err != nil {
			t.Fatal(err)
		}
	}
	s := newStore()
	_, err = publish(s, "oci:"+string(l), Options{})
	wantError(t, "no tag", err, "choose a tag: old, new")
	_, err = publish(s, "oci:"+string(l)+":newer", Options{})
	wantError(t, "wrong tag", err, `no tag "newer"; there is old, new`)
	mustPublish(t, s, "oci:"+string(l)+":new", Options{})
}

// Each blob of a layout is damaged in turn: never an image, always the blob's name.
func TestDamagedBlobsAreNamed(t *testing.T) {
	layers, _ := sampleLayers(t)
	root := filepath.Join(t.TempDir(), "oci")
	l, err := layout.Write(root, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.AppendImage(containerImage(t, "amd64", layers)); err != nil {
		t.Fatal(err)
	}
	all, err := filepath.Glob(filepath.Join(root, "blobs", "sha256", "*"))
	if err != nil || len(all) != 5 {
		t.Fatalf("%d blobs: %v", len(all), err)
	}
	for _, f := range all {
		good, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for what, p := range map[string][]byte{"flipped": flip(good, len(good)/2), "longer": append(bytes.Clone(good), 0), "shorter": good[:len(good)-1], "gone": nil} {
			write(t, p, f)
			if p == nil {
				os.Remove(f)
			}
			s := newStore()
			_, err := publish(s, "oci:"+root, Options{})
			wantError(t, what, err, filepath.Base(f))
			if len(s.refs) != 0 {
				t.Error("a ref was written")
			}
		}
		write(t, good, f)
	}
	mustPublish(t, newStore(), "oci:"+root, Options{})
}

func flip(p []byte, at int) []byte {
	p = bytes.Clone(p)
	p[at] ^= 0x10
	return p
}

// The uncompressed bytes are checked as well: an image whose config lists other
// layers than its manifest is none.
func TestDiffIDsAreChecked(t *testing.T) {
	layers, _ := sampleLayers(t)
	img := containerImage(t, "amd64", layers)
	cf, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	cf = cf.DeepCopy()
	cf.RootFS.DiffIDs[1].Hex = strings.Repeat("ab", 32)
	bad, err := mutate.ConfigFile(img, cf)
	if err != nil {
		t.Fatal(err)
	}
	fewer := cf.DeepCopy()
	fewer.RootFS.DiffIDs = fewer.RootFS.DiffIDs[:2]
	short, err := mutate.ConfigFile(img, fewer)
	if err != nil {
		t.Fatal(err)
	}
	for what, tt := range map[string]struct {
		img  v1.Image
		want string
	}{"other": {bad, "uncompressed bytes"}, "fewer": {short, "3 layers, the config 2"}} {
		_, err = publish(newStore(), "oci:"+oneImage(t, tt.img), Options{})
		wantError(t, what, err, tt.want)
	}
}

func oneImage(t *testing.T, img v1.Image) string {
	t.Helper()
	l, err := layout.Write(filepath.Join(t.TempDir(), "oci"), empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.AppendImage(img); err != nil {
		t.Fatal(err)
	}
	return string(l)
}

func TestForeignAndUnknownMediaTypes(t *testing.T) {
	layers, _ := sampleLayers(t)
	for mt, want := range map[types.MediaType]string{
		types.DockerForeignLayer:                     "kept by its vendor",
		types.OCIRestrictedLayer:                     "kept by its vendor",
		"application/vnd.cncf.helm.chart.content.v1": "not a file system layer",
	} {
		img, err := mutate.AppendLayers(containerImage(t, "amd64", layers), static.NewLayer([]byte("?"), mt))
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "oci")
		l, err := layout.Write(dir, empty.Index)
		if err != nil {
			t.Fatal(err)
		}
		// A foreign layer has no blob to be written.
		if err := l.AppendImage(img); err != nil {
			t.Fatal(err)
		}
		_, err = publish(newStore(), "oci:"+dir, Options{})
		wantError(t, string(mt), err, want, string(mt), "layer 4 of 4")
	}
	chart := mutate.ConfigMediaType(containerImage(t, "amd64", layers), "application/vnd.cncf.helm.config.v1+json")
	_, err := publish(newStore(), "oci:"+oneImage(t, chart), Options{})
	wantError(t, "chart", err, "not a container image", "helm.config")
}

func TestZipBombOfDocumentsIsBounded(t *testing.T) {
	dir := t.TempDir()
	write(t, append([]byte(`{"x":"`), bytes.Repeat([]byte("a"), maxDocument)...), dir, "index.json")
	_, err := publish(newStore(), "oci:"+dir, Options{})
	wantError(t, "index", err, "more than")
	_, err = publish(newStore(), "tar:"+write(t, blocktest.Bytes(1, 4096), dir, "noise"), Options{})
	wantError(t, "noise", err, "noise")
}
