package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/image"
)

// A store is an origin in memory.
type store struct {
	name     string
	manifest *image.Manifest
	id       block.ID
	bytes    []byte

	mu     sync.Mutex
	blocks map[block.ID][]byte
	fail   error
	reads  atomic.Int64
}

var _ Origin = (*store)(nil)

// newStore holds an image of count blocks of n bytes.
func newStore(t *testing.T, count, n int) *store {
	t.Helper()
	s := &store{name: "img", blocks: map[block.ID][]byte{}}
	m := &image.Manifest{MediaType: image.MediaTypeBytes}
	for i := range count {
		b := blocktest.Block(uint64(i)+1, n)
		m.Blocks = append(m.Blocks, image.BlockRef{ID: b.ID(), Stored: uint32(n), Length: uint32(n)})
		m.Size += int64(n)
		s.bytes = append(s.bytes, b.Bytes()...)
		s.blocks[b.ID()] = bytes.Clone(b.Bytes())
		b.Release()
	}
	var err error
	if s.id, err = m.ID(); err != nil {
		t.Fatal(err)
	}
	s.manifest = m
	return s
}

func (s *store) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *store) ReadBlock(_ context.Context, id block.ID) (block.Block, error) {
	s.reads.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return block.Block{}, s.fail
	}
	p, ok := s.blocks[id]
	if !ok {
		return block.Block{}, fmt.Errorf("store: %s: %w", id, block.ErrNotFound)
	}
	buf := block.DefaultPool.Get(len(p))
	copy(buf.Bytes(), p)
	return buf.Seal(id, block.Origin), nil
}

func (s *store) Ref(_ context.Context, name string) (image.Ref, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return image.Ref{}, s.fail
	}
	if name != s.name {
		return image.Ref{}, fmt.Errorf("store: %q: %w", name, block.ErrNotFound)
	}
	return image.Ref{Name: name, Manifest: s.id}, nil
}

func (s *store) Refs(context.Context) ([]image.Ref, error) {
	return nil, errors.New("nobody lists")
}

func (s *store) Manifest(context.Context, block.ID) ([]byte, error) { return s.manifest.Encode() }

// A daemon serves a store as `cached serve` does.
type daemon struct {
	t      *testing.T
	store  block.Reader
	images api.Images
	starts api.Starts
	addr   string
	client *api.Client
	server *api.Server
	served chan error
}

func startDaemon(t *testing.T, s *store) *daemon {
	t.Helper()
	d := &daemon{t: t, store: s, images: daemonImages{s}, addr: "127.0.0.1:0"}
	d.start()
	client, err := api.NewClient("http://"+d.addr, api.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d.client = client
	t.Cleanup(func() {
		d.stop()
		client.Close()
	})
	return d
}

func (d *daemon) start() {
	d.t.Helper()
	l, err := new(net.ListenConfig).Listen(d.t.Context(), "tcp", d.addr)
	if err != nil {
		d.t.Fatal(err)
	}
	d.addr = l.Addr().String()
	server := api.NewServer(api.NewHandler(api.Services{Blocks: d.store, Images: d.images, Starts: d.starts}, api.Options{}), api.ServerOptions{})
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	d.server, d.served = server, served
}

func (d *daemon) stop() {
	if d.server == nil {
		return
	}
	if err := errors.Join(d.server.Shutdown(context.Background()), <-d.served); err != nil {
		d.t.Error(err)
	}
	d.server = nil
}

type daemonImages struct{ s *store }

func (d daemonImages) GetImage(_ context.Context, name string) (*cachedv1.GetImageResponse, error) {
	if name != d.s.name && name != d.s.id.String() {
		return nil, fmt.Errorf("image %q: %w", name, block.ErrNotFound)
	}
	m := &cachedv1.Manifest{Version: ManifestVersion, MediaType: d.s.manifest.MediaType, Size: uint64(d.s.manifest.Size)}
	for _, ref := range d.s.manifest.Blocks {
		m.Blocks = append(m.Blocks, &cachedv1.BlockRef{Id: ref.ID[:], StoredLength: ref.Stored, Length: ref.Length, Encoding: cachedv1.Encoding_ENCODING_RAW})
	}
	return &cachedv1.GetImageResponse{ManifestId: d.s.id.String(), Manifest: m}, nil
}

func (d daemonImages) ListImages(context.Context) ([]*cachedv1.ImageEntry, error) { return nil, nil }

func openTest(t *testing.T, o Options) *Image {
	t.Helper()
	if o.Image == "" {
		o.Image = "img"
	}
	img, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	})
	return img
}

// check reads n bytes at off.
func check(t *testing.T, img *Image, s *store, off, n int) {
	t.Helper()
	got := make([]byte, n)
	if _, err := img.ReadAt(got, int64(off)); err != nil {
		t.Fatalf("read %d bytes at %d: %v", n, off, err)
	}
	if !bytes.Equal(got, s.bytes[off:off+n]) {
		t.Fatalf("read %d bytes at %d: wrong bytes", n, off)
	}
}

func testLogger(t *testing.T) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }
