package main

import (
	"context"
	"log/slog"
	"sync"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/prefetch"
)

// maxAhead is the largest image, in blocks, that is read ahead of: a run keeps
// some hundred bytes for each.
const maxAhead = 1 << 18

// starts reads ahead of the starts that say they read a whole image.
type starts struct {
	ahead *prefetch.ReadAhead
	log   *slog.Logger

	mu   sync.Mutex
	runs map[string]*prefetch.Run // by session
}

var _ api.Starts = (*starts)(nil)

func newStarts(ahead *prefetch.ReadAhead, log *slog.Logger) *starts {
	return &starts{ahead: ahead, log: log, runs: map[string]*prefetch.Run{}}
}

// Began implements [api.Starts].
func (s *starts) Began(ctx context.Context, session string, req *cachedv1.OpenImageRequest, image *cachedv1.GetImageResponse) {
	if req.GetReadAhead() != cachedv1.ReadAhead_READ_AHEAD_IMAGE {
		return
	}
	refs := image.GetManifest().GetBlocks()
	if len(refs) > maxAhead {
		s.log.Warn("an image is too large to be read ahead", "image", req.GetImage(), "blocks", len(refs), "limit", maxAhead)
		return
	}
	img := prefetch.Image{Names: []string{req.GetImage()}, Blocks: make([]prefetch.Block, len(refs))}
	if id := image.GetManifestId(); id != req.GetImage() {
		img.Names = append(img.Names, id)
	}
	for i, ref := range refs {
		img.Blocks[i].Length = int(ref.GetStoredLength())
		copy(img.Blocks[i].ID[:], ref.GetId())
	}
	call := block.Call{Image: req.GetImage(), Workload: req.GetWorkload(), Tenant: block.CallFrom(ctx).Tenant}
	run := s.ahead.Start(context.WithoutCancel(ctx), img, call) // until Ended, or the daemon's end
	s.mu.Lock()
	s.runs[session] = run
	s.mu.Unlock()
}

// Ended implements [api.Starts].
func (s *starts) Ended(session string) {
	s.mu.Lock()
	run := s.runs[session]
	delete(s.runs, session)
	s.mu.Unlock()
	if run != nil {
		run.Stop()
	}
}
