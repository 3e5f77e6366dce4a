package prefetch_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/prefetch"
)

// A sink keeps the traces of a recorder.
type sink struct {
	mu     sync.Mutex
	traces []*prefetch.Trace
	hold   chan struct{} // nil: nothing waits
}

func (s *sink) done(t *prefetch.Trace, _ []string) {
	if s.hold != nil {
		<-s.hold
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.traces = append(s.traces, t)
}

func (s *sink) all() []*prefetch.Trace {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.traces
}

func record(t *testing.T, o prefetch.RecorderOptions) (*prefetch.Recorder, *sink) {
	t.Helper()
	s := &sink{}
	o.Done = s.done
	r := prefetch.NewRecorder(o)
	t.Cleanup(func() { r.Close() })
	return r, s
}

func as(ctx context.Context, image, workload string, cause block.Cause) context.Context {
	return block.WithCall(ctx, block.Call{Image: image, Workload: workload, Cause: cause})
}

func TestARecordingHasFirstTouchesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, image := newMedium(t, 100)
		m.takes = 0
		r, s := record(t, prefetch.RecorderOptions{})
		reader := r.Watch(m)
		get := func(ctx context.Context, i int) {
			t.Helper()
			b, err := reader.ReadBlock(ctx, image.Blocks[i].ID)
			if err != nil {
				t.Fatal(err)
			}
			b.Release()
		}
		get(as(t.Context(), "app", "serve", block.Demand), 50) // before the start
		rec := r.Start(manifest, "serve", image)
		for _, i := range []int{7, 3, 7, 99, 3} {
			pause(20 * time.Millisecond)
			get(as(t.Context(), "app", "serve", block.Demand), i)
		}
		get(as(t.Context(), "blake3:app", "serve", block.Demand), 8)
		get(as(t.Context(), "app", "serve", block.Prefetch), 10)
		get(as(t.Context(), "app", "another", block.Demand), 11)
		get(as(t.Context(), "other", "serve", block.Demand), 12)
		rec.End()
		rec.End()
		get(as(t.Context(), "app", "serve", block.Demand), 13)
		synctest.Wait()
		if len(s.all()) != 1 {
			t.Fatalf("%d traces", len(s.all()))
		}
		got := s.all()[0]
		want := []prefetch.Touch{{7, 20 * time.Millisecond}, {3, 40 * time.Millisecond}, {99, 80 * time.Millisecond}, {8, 100 * time.Millisecond}}
		if err := got.Check(); err != nil || len(got.Touches) != len(want) || got.Image != manifest || got.Workload != "serve" || got.Blocks != 100 {
			t.Fatalf("%+v, %v", got, err)
		}
		for i := range want {
			if got.Touches[i] != want[i] {
				t.Errorf("touch %d: %+v, want %+v", i, got.Touches[i], want[i])
			}
		}
	})
}

func pause(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // the clock of synctest

// A session that is never closed ends when nothing new is read, or in the end.
func TestARecordingEndsByItself(t *testing.T) {
	for name, tt := range map[string]struct {
		every time.Duration
		reads int
		want  time.Duration
		got   int
	}{
		"quiet":   {every: time.Second, reads: 5, want: 5*time.Second + prefetch.DefaultQuiet, got: 5},
		"nothing": {every: time.Second, reads: 0, want: prefetch.DefaultQuiet},
		"busy":    {every: 5 * time.Second, reads: 90, want: prefetch.DefaultLongest, got: 24},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, image := newMedium(t, 100)
				m.takes = 0
				r, s := record(t, prefetch.RecorderOptions{})
				reader := r.Watch(m)
				r.Start(manifest, "", image)
				began := time.Now()
				for i := range tt.reads {
					pause(tt.every)
					read(t, reader, image.Blocks[i].ID)
				}
				for r.Recording() > 0 {
					pause(100 * time.Millisecond)
				}
				if took := time.Since(began); tt.reads < 50 && took > tt.want+time.Second {
					t.Errorf("recorded for %v, want %v", took, tt.want)
				}
				synctest.Wait()
				switch traces := s.all(); {
				case tt.got == 0 && len(traces) > 0:
					t.Errorf("a trace of nothing: %+v", traces[0])
				case tt.got > 0 && (len(traces) != 1 || len(traces[0].Touches) < tt.got-1 || len(traces[0].Touches) > tt.got):
					t.Errorf("%d traces, want one with %d touches", len(traces), tt.got)
				}
			})
		})
	}
}

func TestWhatIsNotRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, image := newMedium(t, 100)
		r, _ := record(t, prefetch.RecorderOptions{MaxRecordings: 3, MaxBlocks: 250})
		first := r.Start(manifest, "a", image)
		if first == nil || r.Start(manifest, "a", image) != nil {
			t.Error("one workload is recorded twice at a time")
		}
		if r.Start(manifest, "b", image) == nil || r.Start(manifest, "c", image) != nil {
			t.Error("300 blocks of 250")
		}
		if r.Start(manifest, "d", prefetch.Image{}) != nil {
			t.Error("an image without blocks")
		}
		first.End()
		if r.Start(manifest, "c", image) == nil {
			t.Error("no place after an end")
		}
		if s := r.Stats(); s.Refused != 3 {
			t.Errorf("%+v", s)
		}
		r.Close()
		if r.Start(manifest, "e", image) != nil || r.Recording() != 0 {
			t.Error("recorded after Close")
		}
	})
}

func TestTracesWaitInABoundedQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, image := newMedium(t, 100)
		m.takes = 0
		s := &sink{hold: make(chan struct{})}
		r := prefetch.NewRecorder(prefetch.RecorderOptions{MaxWaiting: 2, Done: s.done})
		reader := r.Watch(m)
		for range 10 {
			rec := r.Start(manifest, "", image)
			read(t, reader, image.Blocks[0].ID)
			rec.End()
			synctest.Wait()
		}
		close(s.hold)
		r.Close()
		if st := r.Stats(); st.Lost != 7 || st.Recorded != 3 || len(s.all()) != 3 {
			t.Errorf("%+v, %d taken", st, len(s.all()))
		}
	})
}

// What the recorder adds to a read: while nothing is recorded, of a block that was
// seen, and of an image nobody records.
func BenchmarkWatch(b *testing.B) {
	var image prefetch.Image
	image.Names = []string{"app"}
	for i := range 10_000 {
		image.Blocks = append(image.Blocks, prefetch.Block{ID: block.Sum([]byte{byte(i), byte(i >> 8)}), Length: 1})
	}
	next := block.ReaderFunc(func(context.Context, block.ID) (block.Block, error) { return block.Block{}, nil })
	r := prefetch.NewRecorder(prefetch.RecorderOptions{Quiet: time.Hour, Longest: time.Hour})
	defer r.Close()
	reader := r.Watch(next)
	run := func(name, image string, blocks []prefetch.Block) {
		b.Run(name, func(b *testing.B) {
			ctx := as(b.Context(), image, "", block.Demand)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				_, _ = reader.ReadBlock(ctx, blocks[i%len(blocks)].ID)
			}
		})
	}
	run("nothing recorded", "app", image.Blocks)
	r.Start(manifest, "", image)
	run("recorded", "app", image.Blocks)
	run("another image", "other", image.Blocks)
}
