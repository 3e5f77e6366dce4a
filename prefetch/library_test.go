package prefetch_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/prefetch"
)

// A shelf is an origin in memory that several hosts share.
type shelf struct {
	*blocktest.Fake
	mu       sync.Mutex
	traces   map[prefetch.Workload]map[string][]byte
	profiles map[prefetch.Workload]block.ID
	named    map[string][2]block.ID
	fails    error
	takes    time.Duration // each call
	calls    int
}

func newShelf(t *testing.T) *shelf {
	s := &shelf{
		Fake: blocktest.NewFake(block.Origin), traces: map[prefetch.Workload]map[string][]byte{},
		profiles: map[prefetch.Workload]block.ID{}, named: map[string][2]block.ID{},
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// call does f as one request.
func (s *shelf) call(f func()) error {
	pause(s.takes)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.fails == nil {
		f()
	}
	return s.fails
}

func (s *shelf) PutTrace(_ context.Context, w prefetch.Workload, name string, p []byte) error {
	return s.call(func() {
		if s.traces[w] == nil {
			s.traces[w] = map[string][]byte{}
		}
		s.traces[w][name] = slices.Clone(p)
	})
}

func (s *shelf) Traces(_ context.Context, w prefetch.Workload) (names []string, err error) {
	err = s.call(func() { names = slices.Sorted(maps.Keys(s.traces[w])) })
	return names, err
}

func (s *shelf) Trace(_ context.Context, w prefetch.Workload, name string) (p []byte, err error) {
	err = s.call(func() { p = s.traces[w][name] })
	if err == nil && p == nil {
		err = block.ErrNotFound
	}
	return p, err
}

func (s *shelf) DeleteTrace(_ context.Context, w prefetch.Workload, name string) error {
	return s.call(func() { delete(s.traces[w], name) })
}

func (s *shelf) Profile(_ context.Context, w prefetch.Workload) (id block.ID, err error) {
	err = s.call(func() { id = s.profiles[w] })
	if err == nil && id.IsZero() {
		err = block.ErrNotFound
	}
	return id, err
}

func (s *shelf) NamedProfile(_ context.Context, name, workload string) (manifest, bundle block.ID, err error) {
	var both [2]block.ID
	err = s.call(func() { both = s.named[name+" "+workload] })
	if err == nil && both[0].IsZero() {
		err = block.ErrNotFound
	}
	return both[0], both[1], err
}

func (s *shelf) PutProfile(ctx context.Context, w prefetch.Workload, bundle []byte, names []string) error {
	b := block.New(bundle, block.Origin)
	defer b.Release()
	if err := s.WriteBlock(ctx, b); err != nil {
		return err
	}
	return s.call(func() {
		s.profiles[w] = b.ID()
		for _, name := range names {
			s.named[name+" "+w.Name] = [2]block.ID{w.Manifest, b.ID()}
		}
	})
}

var serve = prefetch.Workload{Manifest: manifest, Name: "serve"}

func library(s *shelf, blocks map[block.ID][]prefetch.Block) *prefetch.Library {
	return prefetch.NewLibrary(prefetch.LibraryOptions{
		Shelf: s, Reader: s,
		Blocks: func(_ context.Context, m block.ID) ([]prefetch.Block, error) {
			if blocks[m] == nil {
				return nil, block.ErrNotFound
			}
			return blocks[m], nil
		},
	})
}

func learn(t *testing.T, l *prefetch.Library, trace *prefetch.Trace) {
	t.Helper()
	if err := l.Learn(t.Context(), trace, []string{"app"}); err != nil {
		t.Fatal(err)
	}
}

func essential(t *testing.T, l *prefetch.Library) []uint32 {
	t.Helper()
	p, err := l.Profile(t.Context(), serve, "app")
	if err != nil {
		t.Fatal(err)
	}
	return p.Essential(prefetch.DefaultShare)
}

func TestWhatOneHostLearnsAnotherKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(t)
		a, b := library(s, nil), library(s, nil)
		if _, err := a.Profile(t.Context(), serve, "app"); !errors.Is(err, block.ErrNotFound) {
			t.Fatal(err)
		}
		learn(t, a, traceOf(0, 4, 2))
		if got := essential(t, b); !slices.Equal(got, []uint32{4, 2}) {
			t.Fatalf("%v", got)
		}
		calls := s.calls
		essential(t, b)
		if s.calls != calls {
			t.Errorf("%d requests for a profile that is fresh", s.calls-calls)
		}
		learn(t, b, traceOf(time.Minute, 4, 9))
		pause(time.Hour)
		if got := essential(t, a); !slices.Equal(got, []uint32{4, 9}) {
			t.Errorf("an hour later: %v", got)
		}
	})
}

// Who asks before a start whether its workload is known does not keep the start from
// what another host learns in between.
func TestAQuestionBeforeAStartHidesNothingFromIt(t *testing.T) {
	s := newShelf(t)
	a, b := library(s, nil), library(s, nil)
	if _, err := b.Look(t.Context(), serve, "app"); !errors.Is(err, block.ErrNotFound) {
		t.Fatal(err)
	}
	learn(t, a, traceOf(0, 4, 2))
	if got := essential(t, b); !slices.Equal(got, []uint32{4, 2}) {
		t.Errorf("%v", got)
	}
	p, err := b.Look(t.Context(), serve, "app")
	if err != nil || b.Bundled(s.profiles[serve]) != p || b.Bundled(block.Sum(nil)) != nil {
		t.Errorf("%v, %v", p, err)
	}
}

// Hosts that learn at once lose nothing: the last to write has seen all traces.
func TestHostsLearnAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(t)
		s.takes = 10 * time.Millisecond
		var wg sync.WaitGroup
		for i := range prefetch.MaxTraces {
			wg.Go(func() {
				pause(time.Duration(i) * 7 * time.Millisecond)
				learn(t, library(s, nil), traceOf(time.Duration(i)*time.Second, 1, uint32(100+i)))
			})
		}
		wg.Wait()
		p, err := library(s, nil).Profile(t.Context(), serve, "")
		if err != nil || p.Starts != prefetch.MaxTraces || len(p.Entries) != prefetch.MaxTraces+1 {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

func TestWhatABurstHasToldIsKnown(t *testing.T) {
	s := newShelf(t)
	l := library(s, nil)
	for i, want := range []bool{false, false, true, true} {
		trace := traceOf(time.Duration(i)*time.Second, 1)
		if known, err := l.KnownFrom(t.Context(), trace); known != want || err != nil {
			t.Errorf("after %d: %v, %v", i, known, err)
		}
		learn(t, l, trace)
	}
	if known, err := l.KnownFrom(t.Context(), traceOf(time.Hour, 1)); known || err != nil {
		t.Errorf("an hour later: %v, %v", known, err)
	}
}

func TestOldTracesAreDeleted(t *testing.T) {
	s := newShelf(t)
	l := library(s, nil)
	for i := range 3 * prefetch.MaxTraces {
		learn(t, l, traceOf(time.Duration(i)*time.Second, uint32(i)))
	}
	if n := len(s.traces[serve]); n != prefetch.MaxTraces {
		t.Errorf("%d traces are kept", n)
	}
}

func TestALaterVersionTakesTheProfileOver(t *testing.T) {
	s := newShelf(t)
	ids := func(from int) (all []prefetch.Block) {
		for i := range 1000 {
			all = append(all, prefetch.Block{ID: block.Sum(fmt.Append(nil, from+i))})
		}
		return all
	}
	v2 := prefetch.Workload{Manifest: block.Sum([]byte("v2")), Name: "serve"}
	l := library(s, map[block.ID][]prefetch.Block{manifest: ids(0), v2.Manifest: ids(100)})
	learn(t, l, traceOf(0, 500, 50, 300))
	p, err := l.Profile(t.Context(), v2, "app")
	if err != nil || !slices.Equal(p.Essential(1), []uint32{400, 200}) || p.From != manifest {
		t.Fatalf("%+v, %v", p, err)
	}
	for _, name := range []string{"", "another"} {
		if p, err := library(s, nil).Profile(t.Context(), v2, name); !errors.Is(err, block.ErrNotFound) {
			t.Errorf("by the name %q: %+v, %v", name, p, err)
		}
	}
	// The version it was made of is gone.
	if p, err := library(s, map[block.ID][]prefetch.Block{v2.Manifest: ids(100)}).Profile(t.Context(), v2, "app"); !errors.Is(err, block.ErrNotFound) {
		t.Errorf("%+v, %v", p, err)
	}
}

// What the origin does not take, this host goes on with.
func TestLearningWithoutAnOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(t)
		l := library(s, nil)
		learn(t, l, traceOf(0, 1, 2))
		s.fails = block.ErrUnavailable
		pause(time.Hour)
		if got := essential(t, l); !slices.Equal(got, []uint32{1, 2}) {
			t.Errorf("while it is down: %v", got)
		}
		other := traceOf(time.Minute, 7)
		other.Workload = "new"
		for range 2 {
			if err := l.Learn(t.Context(), other, nil); !errors.Is(err, block.ErrUnavailable) {
				t.Errorf("%v", err)
			}
		}
		if p, err := l.Profile(t.Context(), prefetch.Workload{Manifest: manifest, Name: "new"}, ""); err != nil || p.Starts != 2 {
			t.Errorf("%+v, %v", p, err)
		}
		s.fails = nil
		pause(time.Hour)
		if p, err := l.Profile(t.Context(), prefetch.Workload{Manifest: manifest, Name: "new"}, ""); err != nil || p.Starts != 2 {
			t.Errorf("when it is back: %+v, %v", p, err)
		}
	})
}

func TestWhatIsDamagedIsLeftOut(t *testing.T) {
	s := newShelf(t)
	l := library(s, nil)
	foreign := traceOf(0, 3)
	foreign.Workload = "another"
	s.traces[serve] = map[string][]byte{"0-damaged": []byte("cachedtr damaged"), "0-foreign": encode(t, foreign)}
	learn(t, l, traceOf(0, 1))
	if got := essential(t, library(s, nil)); !slices.Equal(got, []uint32{1}) {
		t.Errorf("%v", got)
	}
	// A profile that points at something else.
	b := block.New([]byte("no bundle"), block.Origin)
	defer b.Release()
	if err := s.WriteBlock(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	s.profiles[serve] = b.ID()
	if p, err := library(s, nil).Profile(t.Context(), serve, ""); !errors.Is(err, block.ErrCorrupt) {
		t.Errorf("%+v, %v", p, err)
	}
}

// A trace that cannot be of this image keeps no other out, and one from the future
// would stay the latest for ever.
func TestTracesThatCannotBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(t)
		blocks := make([]prefetch.Block, 1000)
		small := traceOf(0, 3)
		small.Blocks = 10
		late := traceOf(0, 5)
		late.Began = time.Now().Add(48 * time.Hour).UTC()
		s.traces[serve] = map[string][]byte{"0-small": encode(t, small)}
		for i := range prefetch.MaxTraces + 3 {
			s.traces[serve][fmt.Sprintf("%013d-late%d", late.Began.UnixMilli(), i)] = encode(t, late)
		}
		learn(t, library(s, map[block.ID][]prefetch.Block{manifest: blocks}), traceOf(time.Minute, 1))
		if got := essential(t, library(s, nil)); !slices.Equal(got, []uint32{1}) {
			t.Errorf("%v", got)
		}
		if n := len(s.traces[serve]); n != 2+prefetch.MaxTraces {
			t.Errorf("%d traces are left, want the small one, the new one, and no more than %d from the future", n, prefetch.MaxTraces)
		}
	})
}

// An origin that takes no traces for a while takes nothing away from what is known.
func TestASickOriginTakesNothingAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(t)
		l := library(s, nil)
		learn(t, l, traceOf(0, 1, 2, 3))
		learn(t, l, traceOf(time.Minute, 1, 2, 3))
		s.fails = block.ErrUnavailable
		if err := l.Learn(t.Context(), traceOf(2*time.Minute, 1, 9), nil); !errors.Is(err, block.ErrUnavailable) {
			t.Fatal(err)
		}
		p, err := l.Profile(t.Context(), serve, "app")
		if err != nil || p.Starts != 3 || !slices.Contains(p.Essential(0.3), 9) || !slices.Contains(p.Essential(prefetch.DefaultShare), 3) {
			t.Errorf("%+v, %v", p, err)
		}
	})
}
