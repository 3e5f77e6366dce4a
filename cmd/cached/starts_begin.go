package main

import (
	"context"
	"sync"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/prefetch"
)

// beganHeld notes a start whose pages the kernel should have. It reads less than starts
// need: a trace of it would say that the rest is not needed, and what is read ahead of it
// would be wasted. When its agent finds that they are gone it asks what to expect.
func (s *starts) beganHeld(ctx context.Context, session string, st *start, call block.Call) {
	st.begin = sync.OnceFunc(func() {
		s.mu.Lock()
		goesOn := !s.closed && s.open[session] == st
		if goesOn {
			s.busy.Add(1)
		}
		s.mu.Unlock()
		if !goesOn {
			close(st.known)
			return
		}
		go func() {
			defer s.busy.Done()
			s.prefetch(ctx, session, st, call)
		}()
	})
	if !s.add(session, st) {
		s.finish(st)
		return
	}
	defer s.busy.Done()
	late, cancel := context.WithTimeout(ctx, prefetch.DefaultLongest) // as of a start that is recorded
	context.AfterFunc(late, func() {
		cancel()
		s.Ended(session)
	})
}

// firstToGoLocked returns the session to end where there are too many: the oldest of
// those that have their pages and are not read ahead of, which lose nothing; or of those
// for which all is read and nothing is recorded, which lose who used it; or of all.
func (s *starts) firstToGoLocked() string {
	for _, session := range s.order {
		if st := s.open[session]; st.begin != nil && st.run == nil {
			return session
		}
	}
	for _, session := range s.order {
		if st := s.open[session]; st.recording == nil && st.run != nil && st.run.Idle() {
			return session
		}
	}
	return s.order[0]
}

// untold notes the image of a start of whose end nothing will be heard.
func (s *starts) untold(req *cachedv1.OpenImageRequest, image *cachedv1.GetImageResponse) {
	if id, err := block.ParseID(image.GetManifestId()); err == nil {
		s.residents.note(resident{manifest: id, name: req.GetImage(), workloads: []string{req.GetWorkload()}})
	}
}

func newStart(req *cachedv1.OpenImageRequest, image *cachedv1.GetImageResponse) (*start, error) {
	id, err := block.ParseID(image.GetManifestId())
	if err != nil {
		return nil, err
	}
	refs := image.GetManifest().GetBlocks()
	st := &start{
		known:    make(chan struct{}),
		name:     req.GetImage(),
		workload: prefetch.Workload{Manifest: id, Name: req.GetWorkload()},
		image:    prefetch.Image{Names: []string{req.GetImage()}, Blocks: make([]prefetch.Block, len(refs))},
	}
	if id := image.GetManifestId(); id != req.GetImage() {
		st.image.Names = append(st.image.Names, id)
	}
	for i, ref := range refs {
		st.image.Blocks[i].Length = int(ref.GetStoredLength())
		copy(st.image.Blocks[i].ID[:], ref.GetId())
	}
	return st, nil
}

// Expected implements [api.Starts].
func (s *starts) Expected(ctx context.Context, session string) []uint32 {
	s.mu.Lock()
	st := s.open[session]
	s.mu.Unlock()
	if st == nil || st.recording == nil && st.begin == nil {
		return nil
	}
	if st.begin != nil {
		st.begin()
	}
	select {
	case <-st.known:
		return st.expected
	case <-ctx.Done():
		return nil
	}
}

// Touched implements [api.Starts].
func (s *starts) Touched(session string, blocks []uint32) (goesOn bool) {
	s.mu.Lock()
	st := s.open[session]
	var run *prefetch.Run
	if st != nil {
		run = st.run
	}
	s.mu.Unlock()
	if st == nil || st.recording == nil && st.begin == nil {
		return false
	}
	for _, i := range blocks {
		if int(i) >= len(st.image.Blocks) {
			continue
		}
		id := st.image.Blocks[i].ID
		s.used(id)
		if st.recording != nil {
			st.recording.Touched(id)
		}
		if run != nil {
			run.Touched(id)
		}
	}
	return true
}
