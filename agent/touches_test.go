package agent

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
)

// heard notes what a daemon is told of starts, and which blocks it was asked for
// on behalf of a program.
type heard struct {
	next  block.Reader
	index map[block.ID]uint32
	// expected is what the start is said to read.
	expected []uint32

	mu      sync.Mutex
	touched []uint32
	ready   int // of touched, when the start was ready; -1: it is not
	ended   bool
	held    bool // what the start said of its pages
	deaf    bool // wants to hear nothing more

	hold chan chan struct{} // nil, or where a report waits to be let go on
}

// daemon starts one over s that h hears of.
func (h *heard) daemon(t *testing.T, s *store) *daemon {
	t.Helper()
	h.next, h.index, h.ready = s, map[block.ID]uint32{}, -1
	for i, ref := range s.manifest.Blocks {
		h.index[ref.ID] = uint32(i)
	}
	d := startDaemon(t, s)
	d.stop()
	d.store, d.starts = h, h
	d.start()
	return d
}

func (h *heard) Began(_ context.Context, _ string, req *cachedv1.OpenImageRequest, _ *cachedv1.GetImageResponse) {
	h.note(func() { h.held = req.GetPagesHeld() })
}

func (h *heard) Expected(context.Context, string) []uint32 { return h.expected }

func (h *heard) note(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

func (h *heard) Ready(string) { h.note(func() { h.ready = len(h.touched) }) }
func (h *heard) Ended(string) { h.note(func() { h.ended = true }) }
func (h *heard) Touched(_ string, blocks []uint32) bool {
	if h.hold != nil {
		goOn := make(chan struct{})
		h.hold <- goOn
		<-goOn
	}
	h.note(func() { h.touched = append(h.touched, blocks...) })
	return !h.deaf
}

func (h *heard) ReadBlock(ctx context.Context, id block.ID) (block.Block, error) {
	if block.CallFrom(ctx).Cause == block.Demand {
		h.note(func() { h.touched = append(h.touched, h.index[id]) })
	}
	return h.next.ReadBlock(ctx, id)
}

// The daemon hears of each block that a program reads, once, also of those that
// its agent had read ahead, before the program is ready and before the end.
func TestTheDaemonHearsOfAllThatAProgramReads(t *testing.T) {
	s := newStore(t, 200, 4096)
	h := &heard{}
	d := h.daemon(t, s)
	img, err := Open(t.Context(), Options{Image: "img", Daemon: d.client})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		check(t, img, s, i*4096, 1024)
		check(t, img, s, i*4096+1024, 1024)
	}
	if img.Stats().AheadUsed == 0 {
		t.Fatal("nothing was read ahead")
	}
	if err := img.MarkReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		check(t, img, s, (100+i)*4096, 1024)
	}
	if err := img.Close(); err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	slices.Sort(h.touched)
	if h.ready != 100 || len(h.touched) != 110 || len(slices.Compact(h.touched)) != 110 || !h.ended {
		t.Errorf("told of %d blocks, of %d when it was ready, ended %v", len(h.touched), h.ready, h.ended)
	}
}

// A daemon that is slow to hear of what was read hears that the program is ready
// behind it.
func TestAProgramIsReadyAfterWhatItHasRead(t *testing.T) {
	s := newStore(t, 50, 4096)
	h := &heard{hold: make(chan chan struct{})}
	d := h.daemon(t, s)
	img := openTest(t, Options{Daemon: d.client})
	for i := range 50 {
		check(t, img, s, i*4096, 1024)
	}
	goOn := <-h.hold // a report is on its way
	ready := make(chan error, 1)
	go func() { ready <- img.MarkReady(t.Context()) }()
	<-time.After(50 * time.Millisecond) // enough for one that does not wait
	for close(goOn); ; close(goOn) {
		select {
		case goOn = <-h.hold:
			continue
		case err := <-ready:
			if err != nil {
				t.Fatal(err)
			}
		}
		break
	}
	h.note(func() {
		if h.ready != 50 {
			t.Errorf("ready after %d of 50 blocks", h.ready)
		}
		h.hold = nil
	})
}

// A start that is over for the daemon is not told of any more.
func TestADaemonThatLearnsNothingIsToldNothing(t *testing.T) {
	s := newStore(t, 200, 4096)
	h := &heard{next: s, index: map[block.ID]uint32{}, ready: -1, deaf: true}
	d := startDaemon(t, s)
	d.stop()
	d.starts = h
	d.start()
	img := openTest(t, Options{Daemon: d.client})
	for i := range 50 {
		check(t, img, s, i*4096, 1024)
	}
	img.touches.flush()
	told := 0
	h.note(func() { told = len(h.touched) })
	for i := range 50 {
		check(t, img, s, (50+i)*4096, 1024)
	}
	img.touches.flush()
	h.note(func() {
		if told == 0 || len(h.touched) != told {
			t.Errorf("told of %d blocks, and then of %d more", told, len(h.touched)-told)
		}
	})
}

// What earlier starts have read is in the window when the program comes, in as much
// of it as may be there unused.
func TestWhatIsExpectedIsFetchedAhead(t *testing.T) {
	s := newStore(t, 300, 4096)
	h := &heard{}
	for i := range uint32(100) {
		h.expected = append(h.expected, 299-2*i)
	}
	h.expected = append(h.expected, 5000)
	d := h.daemon(t, s)
	img := openTest(t, Options{Daemon: d.client, Window: 80 * 4096})
	for n, i := range h.expected[:100] {
		unused := int64(min(20, 100-n)) * 4096
		waitFor(t, func() bool { return img.window.unused.Load() == unused && img.window.flying.Load() == 0 })
		check(t, img, s, int(i)*4096, 100)
	}
	st := img.Stats()
	if st.AheadUsed != 100 {
		t.Errorf("of 100 blocks that were expected %d were fetched ahead, %d used; %d reads", st.Ahead, st.AheadUsed, s.reads.Load())
	}
}

// What is expected and not wanted is given up before much of it was fetched, and
// neighbours are read ahead as ever.
func TestWhatIsExpectedInVainIsGivenUp(t *testing.T) {
	s := newStore(t, 600, 4096)
	h := &heard{}
	for i := range uint32(300) {
		h.expected = append(h.expected, 300+i)
	}
	d := h.daemon(t, s)
	img := openTest(t, Options{Daemon: d.client, Window: 160 * 4096})
	waitFor(t, func() bool { return s.reads.Load() == 40 && img.window.flying.Load() == 0 })
	for i := range 200 {
		check(t, img, s, i*4096, 100)
	}
	if n := s.reads.Load(); n > 300 {
		t.Errorf("%d reads for 200 blocks", n)
	}
	if img.guided() || img.Stats().AheadUsed < 150 {
		t.Errorf("guided %v, %d neighbours used", img.guided(), img.Stats().AheadUsed)
	}
}

// waitFor waits until something is so.
func waitFor(t *testing.T, so func() bool) {
	t.Helper()
	for late := time.After(10 * time.Second); !so(); {
		select {
		case <-late:
			t.Fatal("it never is so")
		case <-time.After(time.Millisecond):
		}
	}
}
