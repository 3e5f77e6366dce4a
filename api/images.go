package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/api/cachedv1/cachedv1connect"
)

// A session is one start of a workload, from OpenImage to CloseSession.
type session struct {
	manifestID string
	workload   string
	opened     time.Time
}

// An imageService serves ImageService. It keeps the sessions, so that whoever
// looks images up need not: a bounded number, because a client that crashes
// never closes its own.
type imageService struct {
	images   Images
	starts   Starts
	prepare  Preparations
	holders  Residency
	warmer   Warmer
	pins     Pins
	purger   Purger
	sessions *lru.Cache[string, session]
	log      *slog.Logger
}

var _ cachedv1connect.ImageServiceHandler = (*imageService)(nil)

func newImageService(services Services, o Options) *imageService {
	starts := services.Starts
	ended := func(id string, _ session) {
		if starts != nil {
			starts.Ended(id)
		}
	}
	sessions, err := lru.NewWithEvict(o.MaxSessions, ended)
	if err != nil { // only for a size below one
		panic(err)
	}
	return &imageService{
		images: services.Images, starts: starts, prepare: services.Preparations,
		holders: services.Residency, warmer: services.Warmer, pins: services.Pins, purger: services.Purger,
		sessions: sessions, log: o.Logger,
	}
}

// maxImageAnswers is how many answers of the ImageService are made at a time. A
// manifest of a very large image has tens of megabytes, several times: as
// messages, marshalled, and on their way out.
const maxImageAnswers = 4

// fewAtATime lets n requests into next at a time, until their answer is written;
// others wait, or are refused when their own time is up.
func fewAtATime(next http.Handler, n int) http.Handler {
	places := make(chan struct{}, n)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
			w.WriteHeader(http.StatusServiceUnavailable) // nobody waits for it
		}
	})
}

// OpenImage implements [cachedv1connect.ImageServiceHandler].
func (s *imageService) OpenImage(ctx context.Context, req *cachedv1.OpenImageRequest) (*cachedv1.OpenImageResponse, error) {
	if err := checkField("workload", req.GetWorkload()); err != nil {
		return nil, toConnect(err)
	}
	image, err := s.get(ctx, req.GetImage())
	if err != nil {
		return nil, err
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	id := hex.EncodeToString(random[:])
	if s.starts != nil {
		s.starts.Began(ctx, id, req, image) // first: once the session is kept, it can end
	}
	s.sessions.Add(id, session{image.GetManifestId(), req.GetWorkload(), time.Now()})
	return &cachedv1.OpenImageResponse{
		ManifestId: image.GetManifestId(), Manifest: image.GetManifest(), SessionId: id, Stale: image.GetStale(),
	}, nil
}

// CloseSession implements [cachedv1connect.ImageServiceHandler].
func (s *imageService) CloseSession(_ context.Context, req *cachedv1.CloseSessionRequest) (*cachedv1.CloseSessionResponse, error) {
	was, ok := s.sessions.Peek(req.GetSessionId())
	if !ok || !s.sessions.Remove(req.GetSessionId()) {
		return nil, notOpen(req.GetSessionId())
	}
	s.log.Debug("session closed", "manifest", was.manifestID, "workload", was.workload, "after", time.Since(was.opened))
	return &cachedv1.CloseSessionResponse{}, nil
}

// MarkReady implements [cachedv1connect.ImageServiceHandler].
func (s *imageService) MarkReady(_ context.Context, req *cachedv1.MarkReadyRequest) (*cachedv1.MarkReadyResponse, error) {
	was, err := s.session(req.GetSessionId())
	if err != nil {
		return nil, err
	}
	if s.starts != nil {
		s.starts.Ready(req.GetSessionId())
	}
	s.log.Debug("ready", "manifest", was.manifestID, "workload", was.workload, "after", time.Since(was.opened))
	return &cachedv1.MarkReadyResponse{}, nil
}

// ExpectBlocks implements [cachedv1connect.ImageServiceHandler].
func (s *imageService) ExpectBlocks(ctx context.Context, req *cachedv1.ExpectBlocksRequest) (*cachedv1.ExpectBlocksResponse, error) {
	if _, err := s.session(req.GetSessionId()); err != nil {
		return nil, err
	}
	if s.starts == nil {
		return &cachedv1.ExpectBlocksResponse{}, nil
	}
	return &cachedv1.ExpectBlocksResponse{Blocks: s.starts.Expected(ctx, req.GetSessionId())}, nil
}

// NoteTouches implements [cachedv1connect.ImageServiceHandler].
func (s *imageService) NoteTouches(_ context.Context, req *cachedv1.NoteTouchesRequest) (*cachedv1.NoteTouchesResponse, error) {
	if _, err := s.session(req.GetSessionId()); err != nil {
		return nil, err
	}
	goesOn := s.starts != nil && s.starts.Touched(req.GetSessionId(), req.GetBlocks())
	return &cachedv1.NoteTouchesResponse{Over: !goesOn}, nil
}

// session returns an open session.
func (s *imageService) session(id string) (session, error) {
	was, ok := s.sessions.Peek(id)
	if !ok {
		return was, notOpen(id)
	}
	return was, nil
}

func notOpen(id string) error {
	return toConnect(notFound("session %.40q is not open: it was closed, or forgotten because many later ones were opened", id))
}

// ListImages implements [cachedv1connect.ImageServiceHandler].
func (s *imageService) ListImages(ctx context.Context, _ *cachedv1.ListImagesRequest) (*cachedv1.ListImagesResponse, error) {
	images, err := s.images.ListImages(forTenant(ctx))
	if err != nil {
		return nil, s.fail(err)
	}
	return &cachedv1.ListImagesResponse{Images: images}, nil
}

// GetImage implements [cachedv1connect.ImageServiceHandler].
func (s *imageService) GetImage(ctx context.Context, req *cachedv1.GetImageRequest) (*cachedv1.GetImageResponse, error) {
	return s.get(ctx, req.GetImage())
}

func (s *imageService) get(ctx context.Context, image string) (*cachedv1.GetImageResponse, error) {
	if err := checkImage(image); err != nil {
		return nil, toConnect(err)
	}
	resp, err := s.images.GetImage(forTenant(ctx), image)
	if err != nil {
		return nil, s.fail(err)
	}
	return resp, nil
}

func checkImage(image string) error {
	if image == "" {
		return invalid(`image is missing: want a name or a manifest id "blake3:<64 hex digits>"`)
	}
	return checkField("image", image)
}

func (s *imageService) fail(err error) error {
	logFailure(s.log, kindOf(err), err)
	return toConnect(err)
}
