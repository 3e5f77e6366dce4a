package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement/residency"
	"github.com/zonecache/cached/prefetch"
)

// maxAhead is the largest image, in blocks, that is read ahead of, and of how many
// blocks the images of all starts under way together may be: each takes some
// hundred bytes a block. maxStarts bounds those of small images.
const (
	maxAhead  = 1 << 18
	maxStarts = 256
)

// findProfile bounds how long a start waits for its profile, findPack for its pack. It
// reads meanwhile; without a pack it reads ahead all the same.
const (
	findProfile = 10 * time.Second
	findPack    = time.Second
)

// maxWorkloads is how many workloads have books of their own.
const maxWorkloads = 1024

// starts has what is read ahead of starts, and what is learned from them. A start
// that says it reads a whole image is read ahead of in order; any other by the
// profile of its workload, and is recorded. A start is forgotten when nothing of it
// goes on, and the oldest when there are too many.
type starts struct {
	ahead     *prefetch.ReadAhead
	used      func(block.ID)     // told what agents have read ahead, and their programs used
	recorder  *prefetch.Recorder // nil: nothing is learned, and no profile used
	library   *prefetch.Library
	packer    *packer
	packs     *prefetch.Packs
	residents *residents
	held      func(block.ID) bool
	inZone    bool
	log       *slog.Logger

	busy sync.WaitGroup // starts that begin, or look for their profile

	mu     sync.Mutex
	closed bool
	open   map[string]*start // by session
	order  []string          // the sessions of open, the oldest first
	blocks int               // of the images of open
	runs   map[*prefetch.Run]struct{}
	ended  prefetch.Outcome // of runs that are no longer among them
	books  *lru.Cache[prefetch.Workload, *workloadBook]
}

// A start is what goes on for one session.
type start struct {
	image     prefetch.Image
	workload  prefetch.Workload
	name      string // as the start gave it
	recording *prefetch.Recording
	run       *prefetch.Run
	begin     func() // reading ahead, of one that has pages; nil: of any other, for which it has begun
	over      context.CancelFunc
	shut      func()        // of its pack; nil: it has none
	known     chan struct{} // closed once expected is set, or stays empty
	expected  []uint32      // blocks that the start is to read, in order
}

// A workloadBook is what became of reading ahead of a workload by its profile.
type workloadBook struct {
	image  string
	starts int64
	trust  prefetch.Trust
	last   prefetch.Outcome
}

var _ api.Starts = (*starts)(nil)

func newStarts(n *node, log *slog.Logger) *starts {
	books, err := lru.New[prefetch.Workload, *workloadBook](maxWorkloads)
	if err != nil { // only for a size below one
		panic(err)
	}
	return &starts{ahead: n.ahead, used: n.ledger.Used, recorder: n.recorder, library: n.library, packer: n.packer, packs: n.packs, residents: n.residents, held: n.holds, inZone: n.zone != nil, log: log, open: map[string]*start{}, runs: map[*prefetch.Run]struct{}{}, books: books}
}

// Began implements [api.Starts].
func (s *starts) Began(ctx context.Context, session string, req *cachedv1.OpenImageRequest, image *cachedv1.GetImageResponse) {
	whole := req.GetReadAhead() == cachedv1.ReadAhead_READ_AHEAD_IMAGE
	if !whole && s.recorder == nil {
		s.untold(req, image)
		return
	}
	if n := len(image.GetManifest().GetBlocks()); n > maxAhead {
		s.log.Warn("an image is too large to be read ahead", "image", req.GetImage(), "blocks", n, "limit", maxAhead)
		s.untold(req, image)
		return
	}
	st, err := newStart(req, image)
	if err != nil {
		s.log.Error("a start is not read ahead of", "image", req.GetImage(), "error", err)
		return
	}
	call := block.Call{Image: req.GetImage(), Workload: req.GetWorkload(), Tenant: block.CallFrom(ctx).Tenant}
	ctx, st.over = context.WithCancel(context.WithoutCancel(ctx)) // until Ended, or the daemon's end
	if !whole && req.GetPagesHeld() {
		s.beganHeld(ctx, session, st, call)
		return
	}
	if !whole {
		// Two starts of a workload at once read the same blocks: one is enough.
		if st.recording = s.recorder.Start(st.workload.Manifest, st.workload.Name, st.image); st.recording == nil {
			st.over()
			return
		}
	}
	if !s.add(session, st) {
		s.finish(st)
		return
	}
	defer s.busy.Done()
	if whole {
		s.run(session, st, s.ahead.Start(ctx, st.image, call))
		return
	}
	st.recording.OnEnd(func() { s.Ended(session) }) // at once when it has ended meanwhile
	s.busy.Go(func() { s.prefetch(ctx, session, st, call) })
}

// prefetch reads ahead of a start by the profile of its workload, if there is one
// and it has been worth it.
func (s *starts) prefetch(ctx context.Context, session string, st *start, call block.Call) {
	// Agents that know what to expect ask for it at once: not before a pack is open.
	defer close(st.known)
	finding, cancel := context.WithTimeout(ctx, findProfile)
	defer cancel()
	name := st.name
	if isID(name) {
		name = ""
	}
	profile, err := s.library.Profile(finding, st.workload, name)
	if err != nil {
		if !errors.Is(err, block.ErrNotFound) && ctx.Err() == nil {
			s.log.Warn("a start goes on without its profile", "image", st.name, "workload", st.workload.Name, "error", err)
		}
		return
	}
	least, ok := s.trust(st)
	if !ok {
		s.log.Debug("a start is not read ahead of: too much of it was wasted in the last ones", "image", st.name, "workload", st.workload.Name)
		return
	}
	order := profile.Essential(least)
	st.expected = order
	looking, done := context.WithTimeout(ctx, findPack)
	pack, id, err := s.packer.find(looking, st.workload, len(st.image.Blocks))
	done()
	if err == nil && (!s.residents.unpacks(st.workload, id) || s.inZone && s.mostlyHere(st.image.Blocks, order)) {
		pack = nil
	}
	if pack != nil {
		s.residents.opened(st.workload, id)
		s.unpack(session, st, pack)
	} else if err != nil && !errors.Is(err, block.ErrNotFound) && ctx.Err() == nil {
		s.log.Warn("a start is read ahead of block by block", "image", st.name, "workload", st.workload.Name, "error", err)
	}
	s.log.Debug("reading ahead of a start", "image", st.name, "workload", st.workload.Name, "blocks", len(order), "starts", profile.Starts, "carried_over", !profile.From.IsZero(), "packed", pack != nil)
	s.run(session, st, s.ahead.StartLearned(ctx, st.image, order, call))
}

// mostlyHere reports whether this host has half of what a start needs. It then reads
// the rest by blocks, and must not tell its zone that it reads the pack: others would
// have the origin read for parts of what the zone has in blocks.
func (s *starts) mostlyHere(blocks []prefetch.Block, order []uint32) bool {
	var here, all uint64
	for _, i := range spread(order, maxLooked) {
		if int(i) >= len(blocks) {
			continue // no block of this image: nobody reads it
		}
		b := blocks[i]
		all += uint64(b.Length)
		if s.held(b.ID) {
			here += uint64(b.Length)
		}
	}
	return all > 0 && residency.ShareOf(here, all) >= residency.All/2
}

// unpack has what is read ahead of a start come from its pack.
func (s *starts) unpack(session string, st *start, pack *prefetch.Pack) {
	shut := s.packs.Open(pack, st.image.Blocks)
	s.mu.Lock()
	gone := s.open[session] != st
	if !gone {
		st.shut = shut
	}
	s.mu.Unlock()
	if gone {
		shut()
	}
}

// trust returns which share of starts must have read what is read ahead.
func (s *starts) trust(st *start) (share float64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bookLocked(st).trust.Next()
}

func (s *starts) bookLocked(st *start) *workloadBook {
	b, ok := s.books.Get(st.workload)
	if !ok {
		b = &workloadBook{}
		s.books.Add(st.workload, b)
	}
	b.image = st.name
	return b
}

// run notes the run of a start, which may be over.
func (s *starts) run(session string, st *start, run *prefetch.Run) {
	s.mu.Lock()
	st.run = run
	s.runs[run] = struct{}{}
	gone := s.open[session] != st
	s.mu.Unlock()
	if gone {
		s.finish(st)
		return
	}
	run.OnEnd(func() { s.runEnded(session, st) }) // at once when it has ended meanwhile
}

// runEnded forgets a start of whose run there is no more, unless it is recorded.
func (s *starts) runEnded(session string, st *start) {
	if st.recording == nil {
		s.Ended(session)
	}
}

// add notes a start, which is busy then, and ends those that must go for it; false
// once starts is closed.
func (s *starts) add(session string, st *start) bool {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return false
	}
	s.busy.Add(1)
	var old []*start
	s.open[session] = st
	s.order = append(s.order, session)
	s.blocks += len(st.image.Blocks)
	for len(s.order) > 1 && (len(s.order) > maxStarts || s.blocks > maxAhead) {
		old = append(old, s.forgetLocked(s.firstToGoLocked()))
	}
	s.mu.Unlock()
	for _, st := range old {
		s.log.Info("an image is not read ahead of any more: there are many later ones", "image", st.name, "limit_starts", maxStarts, "limit_blocks", maxAhead)
		s.finish(st)
	}
	return true
}

// forgetLocked takes out the session's start, which may be none.
func (s *starts) forgetLocked(session string) *start {
	st := s.open[session]
	if st == nil {
		return nil
	}
	delete(s.open, session)
	s.order = slices.DeleteFunc(s.order, func(other string) bool { return other == session })
	s.blocks -= len(st.image.Blocks)
	return st
}

// Ready implements [api.Starts]. What is read ahead of a whole image goes on.
func (s *starts) Ready(session string) {
	s.mu.Lock()
	st := s.open[session]
	s.mu.Unlock()
	switch {
	case st == nil:
	case st.recording != nil:
		st.recording.End()
	case st.begin != nil:
		s.Ended(session)
	}
}

// Ended implements [api.Starts].
func (s *starts) Ended(session string) {
	s.mu.Lock()
	st := s.forgetLocked(session)
	s.mu.Unlock()
	if st != nil {
		s.finish(st)
	}
}

// finish ends everything of a start that was forgotten, and books its outcome.
func (s *starts) finish(st *start) {
	st.over()
	if st.recording != nil {
		st.recording.End()
	}
	s.mu.Lock()
	run, shut := st.run, st.shut
	st.shut = nil
	s.mu.Unlock()
	if shut != nil {
		shut()
	}
	s.residents.note(resident{manifest: st.workload.Manifest, name: st.name, workloads: []string{st.workload.Name}})
	if run == nil {
		return
	}
	run.Stop()
	if !s.book(st, run) {
		return
	}
	if st.workload.Name == "" {
		s.log.Info("starts that name no workload are not read ahead of for a while: they read different things, most of what was read ahead was wasted; name what each runs (--workload)", "image", st.name)
		return
	}
	s.log.Info("starts of a workload are not read ahead of for a while: too much of it was wasted in the last ones", "image", st.name, "workload", st.workload.Name)
}

// book adds the outcome of a run that has ended, once, and reports whether it has later
// starts not read ahead of.
func (s *starts) book(st *start, run *prefetch.Run) (off bool) {
	o := run.Outcome()
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.runs[run]; !ok {
		return false // booked before
	}
	delete(s.runs, run) // at once with what follows: sums never fall
	s.ended = s.ended.Plus(o)
	if st.recording == nil {
		return false
	}
	b := s.bookLocked(st)
	b.starts++
	b.last = o
	was := b.trust.Off()
	b.trust.Ended(o)
	return !was && b.trust.Off()
}

// close ends all starts and waits for them.
func (s *starts) close() {
	s.mu.Lock()
	s.closed = true
	sessions := slices.Clone(s.order)
	s.mu.Unlock()
	for _, session := range sessions {
		s.Ended(session)
	}
	s.busy.Wait()
}
