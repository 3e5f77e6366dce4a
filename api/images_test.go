package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// oneImage knows one image by name.
type oneImage struct {
	name  string
	image *cachedv1.GetImageResponse
}

func (o oneImage) GetImage(_ context.Context, image string) (*cachedv1.GetImageResponse, error) {
	if image != o.name {
		return nil, notFound("image %q does not exist", image)
	}
	return o.image, nil
}

func (o oneImage) ListImages(context.Context) ([]*cachedv1.ImageEntry, error) {
	return []*cachedv1.ImageEntry{{Name: o.name, ManifestId: o.image.ManifestId}}, nil
}

// books is an Admin with fixed answers.
type books struct{ err error }

func (b books) Ledger(context.Context) (*cachedv1.Ledger, error) {
	return &cachedv1.Ledger{InFlight: 3}, b.err
}

func (b books) Explain(_ context.Context, req *cachedv1.ExplainImageRequest) (*cachedv1.ExplainImageResponse, error) {
	return &cachedv1.ExplainImageResponse{Looked: uint64(len(req.GetImage()))}, nil
}

func (b books) Status(context.Context) (*cachedv1.GetStatusResponse, error) {
	return &cachedv1.GetStatusResponse{Version: "v1"}, b.err
}

func TestImagesAndSessions(t *testing.T) {
	// A manifest larger than any limit on messages that libraries have by default.
	manifest := &cachedv1.Manifest{Version: 1, MediaType: "x/y", Annotations: map[string]string{"k": strings.Repeat("v", 6<<20)}}
	for i := range 100 {
		id := block.Sum(fmt.Append(nil, i))
		manifest.Blocks = append(manifest.Blocks, &cachedv1.BlockRef{Id: id[:], StoredLength: 7, Length: 9, Encoding: cachedv1.Encoding_ENCODING_ZSTD})
	}
	image := &cachedv1.GetImageResponse{ManifestId: block.Sum(nil).String(), Manifest: manifest, Stale: true}
	fake := blocktest.NewFake(block.Memory)
	c := connectTo(t, serve(t, Services{Blocks: fake, Images: oneImage{"flask:v1", image}, Admin: books{}}, Options{MaxSessions: 2}), ClientOptions{})

	got, err := c.GetImage(t.Context(), "flask:v1")
	if err != nil || !proto.Equal(got, image) {
		t.Fatalf("GetImage: %v", err)
	}
	list, err := c.ListImages(t.Context())
	if err != nil || len(list) != 1 || list[0].Name != "flask:v1" {
		t.Fatalf("ListImages: %v, %v", list, err)
	}
	var sessions []string
	for range 3 {
		opened, err := c.OpenImage(t.Context(), &cachedv1.OpenImageRequest{Image: "flask:v1", Workload: "app"})
		if err != nil || !proto.Equal(opened.Manifest, manifest) || !opened.Stale || opened.ManifestId != image.ManifestId {
			t.Fatalf("OpenImage: %v", err)
		}
		sessions = append(sessions, opened.SessionId)
	}
	status, err := c.Status(t.Context())
	if err != nil || status.OpenSessions != 2 || status.Version != "v1" {
		t.Fatalf("Status: %v, %v", status, err)
	}
	ledger, err := c.Ledger(t.Context())
	if err != nil || ledger.InFlight != 3 {
		t.Fatalf("Ledger: %v, %v", ledger, err)
	}
	if err := c.CloseSession(t.Context(), sessions[2]); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"closed twice": c.CloseSession(t.Context(), sessions[2]),
		"forgotten":    c.CloseSession(t.Context(), sessions[0]),
		"no image":     second(c.GetImage(t.Context(), "flask:v2")),
		"cannot open":  second(c.OpenImage(t.Context(), &cachedv1.OpenImageRequest{Image: "flask:v2"})),
	} {
		if !errors.Is(err, ErrNotFound) || !errors.Is(err, block.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"no name":       second(c.GetImage(t.Context(), "")),
		"long name":     second(c.GetImage(t.Context(), strings.Repeat("x", 300))),
		"long workload": second(c.OpenImage(t.Context(), &cachedv1.OpenImageRequest{Image: "flask:v1", Workload: strings.Repeat("x", 300)})),
	} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// slowStarts notes what began and has not ended; the first to begin takes as long
// as the test likes.
type slowStarts struct {
	first, goOn chan struct{}

	mu     sync.Mutex
	began  int
	open   map[string]bool
	orphan int // ended without having begun
	ready  []string
	blocks []uint32
}

func (s *slowStarts) Expected(context.Context, string) []uint32 { return []uint32{5, 2} }

func (s *slowStarts) Ready(session string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = append(s.ready, session)
}

func (s *slowStarts) Touched(_ string, blocks []uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocks = append(s.blocks, blocks...)
	return len(s.ready) == 0
}

func (s *slowStarts) Began(_ context.Context, session string, _ *cachedv1.OpenImageRequest, _ *cachedv1.GetImageResponse) {
	s.mu.Lock()
	s.began++
	first := s.began == 1
	s.mu.Unlock()
	if first {
		close(s.first)
		<-s.goOn
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[session] = true
}

func (s *slowStarts) Ended(session string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open[session] {
		s.orphan++
	}
	delete(s.open, session)
}

// A session that is pushed out while its start is still being noted ends all the
// same: nothing of it stays behind.
func TestASessionPushedOutWhileItBeginsLeavesNothing(t *testing.T) {
	starts := &slowStarts{first: make(chan struct{}), goOn: make(chan struct{}), open: map[string]bool{}}
	image := &cachedv1.GetImageResponse{ManifestId: block.Sum(nil).String(), Manifest: &cachedv1.Manifest{Version: 1}}
	c := connectTo(t, serve(t, Services{Blocks: blocktest.NewFake(block.Memory), Images: oneImage{"i", image}, Starts: starts}, Options{MaxSessions: 1}), ClientOptions{})
	done := make(chan error, 1)
	go func() { done <- second(c.OpenImage(context.Background(), &cachedv1.OpenImageRequest{Image: "i"})) }()
	<-starts.first
	err := second(c.OpenImage(t.Context(), &cachedv1.OpenImageRequest{Image: "i"}))
	close(starts.goOn)
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	starts.mu.Lock()
	defer starts.mu.Unlock()
	if len(starts.open) != 1 || starts.orphan != 0 {
		t.Errorf("%d starts go on of one session that may be open, %d ended before they began", len(starts.open), starts.orphan)
	}
}

func TestWhatAgentsTellOfAStart(t *testing.T) {
	starts := &slowStarts{first: make(chan struct{}), goOn: make(chan struct{}), open: map[string]bool{}}
	close(starts.goOn)
	image := &cachedv1.GetImageResponse{ManifestId: block.Sum(nil).String(), Manifest: &cachedv1.Manifest{Version: 1}}
	services := Services{Blocks: blocktest.NewFake(block.Memory), Images: oneImage{"i", image}, Starts: starts}
	c := connectTo(t, serve(t, services, Options{}), ClientOptions{})
	opened, err := c.OpenImage(t.Context(), &cachedv1.OpenImageRequest{Image: "i"})
	if err != nil {
		t.Fatal(err)
	}
	session := opened.GetSessionId()
	if blocks, err := c.ExpectBlocks(t.Context(), session); err != nil || !slices.Equal(blocks, []uint32{5, 2}) {
		t.Errorf("%v, %v", blocks, err)
	}
	if over, err := c.NoteTouches(t.Context(), session, []uint32{7, 3}); over || err != nil {
		t.Errorf("over %v, %v", over, err)
	}
	if err := c.MarkReady(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	if over, err := c.NoteTouches(t.Context(), session, nil); !over || err != nil {
		t.Errorf("ready, over %v, %v", over, err)
	}
	if err := errors.Join(c.CloseSession(t.Context(), session)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(starts.ready, []string{session}) || !slices.Equal(starts.blocks, []uint32{7, 3}) || len(starts.open) != 0 {
		t.Errorf("%+v", starts)
	}
	for name, err := range map[string]error{
		"touches": second(c.NoteTouches(t.Context(), session, nil)), "ready": c.MarkReady(t.Context(), session), "expect": second(c.ExpectBlocks(t.Context(), session)), "of nobody": c.MarkReady(t.Context(), ""),
	} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAdminErrors(t *testing.T) {
	c := connectTo(t, serve(t, Services{Admin: books{block.ErrUnavailable}}, Options{}), ClientOptions{})
	for _, err := range []error{second(c.Ledger(t.Context())), second(c.Status(t.Context()))} {
		if !errors.Is(err, block.ErrUnavailable) {
			t.Errorf("%v", err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestTiersAndCausesConvert(t *testing.T) {
	for _, tier := range append(block.Tiers[:], block.Unknown) {
		if got := TierFromProto(TierToProto(tier)); got != tier {
			t.Errorf("%s became %s", tier, got)
		}
	}
	for _, cause := range block.Causes {
		if got, err := CauseFromProto(CauseToProto(cause)); err != nil || got != cause {
			t.Errorf("%s became %s, %v", cause, got, err)
		}
	}
}
