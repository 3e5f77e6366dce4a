package main

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/prefetch"
)

// maxAhead is the largest image, in blocks, that is read ahead of, and of how many
// blocks the images of all runs together may be: a run keeps some hundred bytes
// for each. maxRuns bounds runs of small images.
const (
	maxAhead = 1 << 18
	maxRuns  = 256
)

// starts reads ahead of the starts that say they read a whole image. A start that
// never ends, or a thousand of them, cost nothing once everything has been read:
// a run is forgotten when it ends, and the oldest is ended when there are too many.
type starts struct {
	ahead *prefetch.ReadAhead
	log   *slog.Logger

	mu     sync.Mutex
	runs   map[string]*prefetch.Run // by session
	order  []string                 // the sessions of runs, the oldest first
	blocks int                      // of the images of runs
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
	for _, old := range s.add(session, run) {
		s.log.Info("an image is not read ahead of any more: there are many later ones", "limit_runs", maxRuns, "limit_blocks", maxAhead)
		old.Stop()
	}
	run.OnEnd(func() { s.forget(session) }) // at once when it has ended meanwhile
}

// add notes a run, and returns those that must end for it.
func (s *starts) add(session string, run *prefetch.Run) (old []*prefetch.Run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs[session] = run
	s.order = append(s.order, session)
	s.blocks += run.Blocks()
	for len(s.order) > 1 && (len(s.order) > maxRuns || s.blocks > maxAhead) {
		old = append(old, s.forgetLocked(s.order[0]))
	}
	return old
}

// forget takes out the session's run, which may be none.
func (s *starts) forget(session string) *prefetch.Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.forgetLocked(session)
}

func (s *starts) forgetLocked(session string) *prefetch.Run {
	run := s.runs[session]
	if run == nil {
		return nil
	}
	delete(s.runs, session)
	s.order = slices.DeleteFunc(s.order, func(other string) bool { return other == session })
	s.blocks -= run.Blocks()
	return run
}

// Ended implements [api.Starts].
func (s *starts) Ended(session string) {
	if run := s.forget(session); run != nil {
		run.Stop()
	}
}
