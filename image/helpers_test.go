package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

func TestMain(m *testing.M) { blocktest.Main(m) }

// A store is a Target, an Index and a block.Reader in memory, which fails as
// scripted.
type store struct {
	fail func(op string, n int) error // n counts the calls of op from 1

	mu        sync.Mutex
	calls     map[string]int
	blocks    map[block.ID][]byte
	manifests map[block.ID][]byte
	refs      map[string]block.ID
	last      string // the last successful write
}

func newStore() *store {
	return &store{
		calls: map[string]int{}, blocks: map[block.ID][]byte{},
		manifests: map[block.ID][]byte{}, refs: map[string]block.ID{},
	}
}

// call counts op and returns with the lock held unless it fails.
func (s *store) call(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	s.calls[op]++
	if s.fail != nil {
		if err := s.fail(op, s.calls[op]); err != nil {
			s.mu.Unlock()
			return err
		}
	}
	return nil
}

func (s *store) HasBlock(ctx context.Context, id block.ID, size int64) (bool, error) {
	if err := s.call(ctx, "has"); err != nil {
		return false, err
	}
	defer s.mu.Unlock()
	p, ok := s.blocks[id]
	return ok && int64(len(p)) == size, nil
}

func (s *store) VerifyBlock(ctx context.Context, id block.ID) (bool, error) {
	if err := s.call(ctx, "verify"); err != nil {
		return false, err
	}
	defer s.mu.Unlock()
	p, ok := s.blocks[id]
	return ok && block.Sum(p) == id, nil
}

func (s *store) PutBlock(ctx context.Context, b block.Block) error {
	if err := s.call(ctx, "put"); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if block.Sum(b.Bytes()) != b.ID() {
		return errors.New("block has another digest than its name")
	}
	s.last = "block"
	s.blocks[b.ID()] = bytes.Clone(b.Bytes())
	return nil
}

func (s *store) PutManifest(ctx context.Context, id block.ID, p []byte) error {
	if err := s.call(ctx, "manifest"); err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.manifests[id], s.last = bytes.Clone(p), "manifest"
	return nil
}

func (s *store) PutRef(ctx context.Context, name string, id block.ID) error {
	if err := s.call(ctx, "ref"); err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.refs[name], s.last = id, "ref"
	return nil
}

func (s *store) Manifest(ctx context.Context, id block.ID) ([]byte, error) {
	if err := s.call(ctx, "get manifest"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	p, ok := s.manifests[id]
	if !ok {
		return nil, fmt.Errorf("store: manifest %s: %w", id, block.ErrNotFound)
	}
	return p, nil
}

func (s *store) Ref(ctx context.Context, name string) (Ref, error) {
	if err := s.call(ctx, "get ref"); err != nil {
		return Ref{}, err
	}
	defer s.mu.Unlock()
	id, ok := s.refs[name]
	if !ok {
		return Ref{}, fmt.Errorf("store: ref: %w", block.ErrNotFound)
	}
	return Ref{Name: name, Manifest: id}, nil
}

func (s *store) Refs(ctx context.Context) ([]Ref, error) {
	if err := s.call(ctx, "list"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var all []Ref
	for name, id := range s.refs {
		all = append(all, Ref{Name: name, Manifest: id})
	}
	return all, nil
}

func (s *store) ReadBlock(ctx context.Context, id block.ID) (block.Block, error) {
	if err := s.call(ctx, "read"); err != nil {
		return block.Block{}, err
	}
	defer s.mu.Unlock()
	p, ok := s.blocks[id]
	if !ok {
		return block.Block{}, fmt.Errorf("store: block: %w", block.ErrNotFound)
	}
	buf := block.DefaultPool.Get(len(p))
	copy(buf.Bytes(), p)
	return buf.Seal(id, block.Origin), nil
}

func (s *store) count(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[op]
}

// bytesSource is an image of given bytes.
type bytesSource []byte

func (b bytesSource) Open(context.Context, func(Progress)) (*Content, error) {
	return &Content{MediaType: MediaTypeBytes, Size: int64(len(b)), Bytes: io.NopCloser(bytes.NewReader(b))}, nil
}

// mustPublish publishes p as name and returns the manifest.
func mustPublish(t testing.TB, s *store, name string, src Source) (*Manifest, Result) {
	t.Helper()
	res, err := Publish(context.Background(), src, PublishOptions{Name: name, Target: s})
	if err != nil {
		t.Fatal(err)
	}
	m, err := DecodeVerified(res.Manifest, s.manifests[res.Manifest])
	if err != nil {
		t.Fatal(err)
	}
	return m, res
}

// mixed returns n bytes of which a part compresses.
func mixed(seed uint64, n int) []byte {
	p := blocktest.Bytes(seed, n)
	for i := 0; i < n; i += 300_000 {
		run := p[i:min(i+150_000, n)]
		for j := range run {
			run[j] = "the same words again and again "[j%31] + byte(j/9000)
		}
	}
	return p
}
