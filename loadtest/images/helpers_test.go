package images

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/zonecache/cached/block/blocktest"
)

func TestMain(m *testing.M) { blocktest.Main(m) }

// build builds an image or skips the test where none can be built.
func build(t *testing.T, dir, name string) Built {
	t.Helper()
	b, err := Build(t.Context(), dir, name, func(p Progress) { t.Log(p.Image, p.Layer, p.Doing) })
	if errors.Is(err, ErrUnable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// buildRecipe is build for what is not in the table.
func buildRecipe(ctx context.Context, r recipe, dir string, report func(Progress)) error {
	_, err := r.build(ctx, dir, report)
	return err
}

// manifest returns the only image of a layout, as another reader sees it.
func manifest(t *testing.T, b Built) v1.Image {
	t.Helper()
	index, err := layout.ImageIndexFromPath(b.Layout)
	if err != nil {
		t.Fatal(err)
	}
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Manifests) != 1 || m.Manifests[0].Annotations[tagKey] != b.Tag {
		t.Fatalf("%s holds %v, want one image tagged %s", b.Layout, m.Manifests, b.Tag)
	}
	img, err := index.Image(m.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// An entry is what a layer says of a path.
type entry struct {
	about string // type, owner, mode, time, target, attributes
	size  int64
	sum   [sha256.Size]byte
	body  string // of short files
}

// entries reads a layer from the layout.
func entries(t *testing.T, b Built, l Layer) map[string]entry {
	t.Helper()
	return entriesOf(t, filepath.Join(b.Layout, "blobs", "sha256", strings.TrimPrefix(l.Digest, "sha256:")))
}

func entriesOf(t *testing.T, archive string) map[string]entry {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]entry{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := all[h.Name]; ok {
			t.Errorf("%s is there twice", h.Name)
		}
		e := entry{about: about(h), size: h.Size}
		sum := sha256.New()
		var start strings.Builder
		if _, err := io.Copy(io.MultiWriter(sum, &limited{&start, 64 << 10}), r); err != nil {
			t.Fatal(err)
		}
		sum.Sum(e.sum[:0])
		e.body = start.String()
		all[h.Name] = e
	}
}

func about(h *tar.Header) string {
	attributes := maps.Clone(h.PAXRecords)
	maps.DeleteFunc(attributes, func(key, _ string) bool { return !strings.HasPrefix(key, "SCHILY.xattr.") })
	return fmt.Sprintf("%d %d %d %d %d %s %v", h.Typeflag, h.Uid, h.Gid, h.Mode, h.ModTime.Unix(), h.Linkname, attributes)
}

// limited drops what comes after n bytes.
type limited struct {
	w io.Writer
	n int
}

func (l *limited) Write(p []byte) (int, error) {
	k := min(len(p), l.n)
	l.n -= k
	if _, err := l.w.Write(p[:k]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// changed returns the paths that differ, sorted.
func changed(a, b map[string]entry) []string {
	names := map[string]bool{}
	for name, e := range a {
		if b[name] != e {
			names[name] = true
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	give := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-give:
			t.Fatalf("waited for a minute for %s", what)
		case <-tick.C:
		}
	}
}

// nothingLeft fails when dir holds unfinished work, or this process sees a
// mount there.
func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	if left, err := filepath.Glob(filepath.Join(dir, workPrefix+"*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), dir) {
		t.Errorf("mounted in %s:\n%s", dir, mounts)
	}
}
