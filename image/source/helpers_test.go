package source

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/image"
	"github.com/zonecache/cached/image/rootfs"
)

func TestMain(m *testing.M) { blocktest.Main(m) }

// A store is a Target in memory and a block.Reader.
type store struct {
	discard bool // keeps the names of blocks only

	mu        sync.Mutex
	blocks    map[block.ID][]byte
	manifests map[block.ID][]byte
	refs      map[string]block.ID
}

func newStore() *store {
	return &store{blocks: map[block.ID][]byte{}, manifests: map[block.ID][]byte{}, refs: map[string]block.ID{}}
}

// HasBlock takes the length on trust: with discard there is none.
func (s *store) HasBlock(ctx context.Context, id block.ID, _ int64) (bool, error) {
	return s.VerifyBlock(ctx, id)
}

func (s *store) VerifyBlock(_ context.Context, id block.ID) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.blocks[id]
	return ok, nil
}

func (s *store) PutBlock(_ context.Context, b block.Block) error {
	var p []byte
	if !s.discard {
		p = bytes.Clone(b.Bytes())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocks[b.ID()] = p
	return nil
}

func (s *store) Manifest(_ context.Context, id block.ID) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.manifests[id], nil
}

func (s *store) PutManifest(_ context.Context, id block.ID, p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.manifests[id] = p
	return nil
}

func (s *store) PutRef(_ context.Context, name string, id block.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refs[name] = id
	return nil
}

func (s *store) ReadBlock(_ context.Context, id block.ID) (block.Block, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.blocks[id]
	if !ok {
		return block.Block{}, block.ErrNotFound
	}
	buf := block.DefaultPool.Get(len(p))
	copy(buf.Bytes(), p)
	return buf.Seal(id, block.Origin), nil
}

// publish publishes spec to s.
func publish(s *store, spec string, opts Options) (image.Result, error) {
	src, err := Parse(spec, opts)
	if err != nil {
		return image.Result{}, err
	}
	return image.Publish(context.Background(), src, image.PublishOptions{Name: "test", Target: s})
}

// published is a manifest and its bytes, readable.
type published struct {
	image.Result
	m *image.Manifest
	r *image.Reader
}

func mustPublish(t testing.TB, s *store, spec string, opts Options) published {
	t.Helper()
	if opts.SpoolDir == "" {
		opts.SpoolDir = t.TempDir()
	}
	res, err := publish(s, spec, opts)
	if err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(opts.SpoolDir)
	if err != nil || len(left) != 0 {
		t.Errorf("%s left %v in the spool folder: %v", spec, left, err)
	}
	m, err := image.DecodeVerified(res.Manifest, s.manifests[res.Manifest])
	if err != nil {
		t.Fatal(err)
	}
	r, err := image.NewReader(m, s, image.ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return published{res, m, r}
}

// tree returns the image's files: "path" -> "type content".
func (p published) tree(t testing.TB) map[string]string {
	t.Helper()
	fsys, err := rootfs.Open(p.r, p.r.Size())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		switch {
		case d.IsDir():
			all[name] = "dir"
		case d.Type() == fs.ModeSymlink:
			target, err := fsys.ReadLink(name)
			all[name] = "-> " + target
			return err
		case d.Type().IsRegular():
			content, err := fs.ReadFile(fsys, name)
			all[name] = string(content)
			return err
		default:
			all[name] = d.Type().String()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A file is an entry of a layer made by a test.
type file struct {
	name, body string
	typ        byte
}

func tarOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Typeflag: f.typ, Mode: 0o755, ModTime: time.Unix(1e9, 0), Format: tar.FormatPAX}
		body := ""
		switch f.typ {
		case 0, tar.TypeReg:
			h.Typeflag, h.Size, body = tar.TypeReg, int64(len(f.body)), f.body
		case tar.TypeSymlink, tar.TypeLink:
			h.Linkname = f.body
		case tar.TypeChar:
			h.Devmajor, h.Devminor = 1, 3
		}
		if err := errors.Join(w.WriteHeader(h)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// sampleLayers have what flattening is about, and what remains of it.
func sampleLayers(t testing.TB) ([][]byte, map[string]string) {
	big := strings.Repeat("a large file that all layers keep\n", 20_000)
	layers := [][]byte{
		tarOf(t, file{"bin/", "", tar.TypeDir}, file{"bin/sh", big, 0}, file{"bin/ash", "bin/sh", tar.TypeLink},
			file{"etc/", "", tar.TypeDir}, file{"etc/os", "v1", 0}, file{"etc/gone", "x", 0}, file{"var/cache/old", "x", 0},
			file{"dev/null", "", tar.TypeChar}),
		tarOf(t, file{"etc/.wh.gone", "", 0}, file{"var/cache/.wh..wh..opq", "", 0}, file{"var/cache/new", "y", 0},
			file{"lib", "usr/lib", tar.TypeSymlink}),
		tarOf(t, file{"etc/os", "v3", 0}),
	}
	return layers, map[string]string{
		"bin": "dir", "bin/sh": big, "bin/ash": big, "etc": "dir", "etc/os": "v3", "var": "dir", "var/cache": "dir",
		"var/cache/new": "y", "lib": "-> usr/lib", "dev": "dir", "dev/null": (fs.ModeDevice | fs.ModeCharDevice).String(),
	}
}

// containerImage makes a container image of uncompressed layers for a platform.
func containerImage(t testing.TB, arch string, layers [][]byte, opts ...tarball.LayerOption) v1.Image {
	t.Helper()
	img := empty.Image
	for _, p := range layers {
		l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(p)), nil }, opts...)
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, l); err != nil {
			t.Fatal(err)
		}
	}
	cf, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	cf = cf.DeepCopy()
	cf.OS, cf.Architecture, cf.Config.Entrypoint = "linux", arch, []string{"/bin/sh", arch}
	if img, err = mutate.ConfigFile(img, cf); err != nil {
		t.Fatal(err)
	}
	return img
}

// tarDir writes the folder as a tar archive.
func tarDir(t testing.TB, dir, out string) {
	t.Helper()
	f, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(f)
	if err := errors.Join(w.AddFS(os.DirFS(dir)), w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func checkTree(t *testing.T, got, want map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("%s is %.40q, want %.40q", name, got[name], want[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok {
			t.Errorf("%s should not be there", name)
		}
	}
}

func write(t testing.TB, p []byte, elem ...string) string {
	t.Helper()
	name := filepath.Join(elem...)
	if err := os.WriteFile(name, p, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func wantError(t *testing.T, what string, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want one with %q", what, parts)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s: error %q lacks %q", what, err, part)
		}
	}
}
