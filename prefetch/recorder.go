package prefetch

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecache/cached/block"
)

// RecorderOptions configure a Recorder. Zero fields take the defaults.
type RecorderOptions struct {
	// Quiet is how long nothing new may be read until a start counts as over, when
	// nobody says that it is; default 10 s.
	Quiet time.Duration
	// Longest is how long a start may take at most; default 2 min.
	Longest time.Duration
	// MaxRecordings is how many starts are recorded at a time, MaxBlocks how many
	// blocks their images have together; default 256 and 262144, which is some 20 MiB.
	// Others are not recorded.
	MaxRecordings, MaxBlocks int
	// Done is given the trace of each start that has read something, and the names
	// its image was opened by, by a goroutine of the recorder, one after the other.
	Done func(t *Trace, names []string)
	// MaxWaiting is how many traces may wait for Done; default 64. Others are lost.
	MaxWaiting int
}

// The defaults of RecorderOptions.
const (
	DefaultQuiet         = 10 * time.Second
	DefaultLongest       = 2 * time.Minute
	DefaultMaxRecordings = 256
	DefaultMaxBlocks     = 1 << 18
	DefaultMaxWaiting    = 64
)

func (o RecorderOptions) withDefaults() RecorderOptions {
	if o.Quiet <= 0 {
		o.Quiet = DefaultQuiet
	}
	if o.Longest <= 0 {
		o.Longest = DefaultLongest
	}
	if o.MaxRecordings <= 0 {
		o.MaxRecordings = DefaultMaxRecordings
	}
	if o.MaxBlocks <= 0 {
		o.MaxBlocks = DefaultMaxBlocks
	}
	if o.MaxWaiting <= 0 {
		o.MaxWaiting = DefaultMaxWaiting
	}
	if o.Done == nil {
		o.Done = func(*Trace, []string) {}
	}
	return o
}

// A Recorder notes what starts read of their images.
type Recorder struct {
	opts   RecorderOptions
	watch  watch
	traces chan finished
	done   chan struct{} // closed when Done is called no more
	counts recorderCounts

	mu     sync.Mutex
	open   map[recorded]*Recording
	blocks int
	closed bool
}

type finished struct {
	trace *Trace
	names []string
}

// recorded names what is recorded once at a time: beside a first container of a
// mount a second one reads little, because the page cache is warm.
type recorded struct {
	image    block.ID
	workload string
}

type recorderCounts struct{ recorded, refused, lost atomic.Int64 }

// RecorderStats count what a Recorder did.
type RecorderStats struct {
	Recorded int64 // traces given to Done
	Refused  int64 // starts not recorded, because one of the same workload is, or too many are
	Lost     int64 // traces that waited for Done in vain
}

// NewRecorder returns a recorder, which must be closed.
func NewRecorder(o RecorderOptions) *Recorder {
	o = o.withDefaults()
	r := &Recorder{opts: o, traces: make(chan finished, o.MaxWaiting), done: make(chan struct{}), open: map[recorded]*Recording{}}
	go func() {
		defer close(r.done)
		for f := range r.traces {
			r.counts.recorded.Add(1)
			o.Done(f.trace, f.names)
		}
	}()
	return r
}

// Watch returns next, and notes for the starts under way what programs read.
func (r *Recorder) Watch(next block.Reader) block.Reader { return r.watch.reader(next) }

// Stats returns the counts so far.
func (r *Recorder) Stats() RecorderStats {
	return RecorderStats{
		Recorded: r.counts.recorded.Load(), Refused: r.counts.refused.Load(), Lost: r.counts.lost.Load(),
	}
}

// Start begins to record a start of workload, whose image has the id manifest. It
// returns nil when it is not recorded.
func (r *Recorder) Start(manifest block.ID, workload string, image Image) *Recording {
	rec := newRecording(r, recorded{manifest, workload}, image)
	r.mu.Lock()
	_, twice := r.open[rec.key]
	full := len(r.open) >= r.opts.MaxRecordings || r.blocks+len(image.Blocks) > r.opts.MaxBlocks
	if r.closed || twice || full || len(image.Blocks) == 0 || len(image.Blocks) > MaxTouches || len(workload) > MaxWorkload {
		r.mu.Unlock()
		r.counts.refused.Add(1)
		return nil
	}
	r.open[rec.key] = rec
	r.blocks += int(rec.blocks)
	r.watch.add(rec, rec.names)
	r.mu.Unlock()
	rec.wait(min(r.opts.Quiet, r.opts.Longest))
	return rec
}

// Close ends all recordings, has their traces taken, and waits for that.
func (r *Recorder) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		<-r.done
		return nil
	}
	r.closed = true
	open := make([]*Recording, 0, len(r.open))
	for _, rec := range r.open {
		open = append(open, rec)
	}
	r.mu.Unlock()
	for _, rec := range open {
		rec.End()
	}
	r.mu.Lock()
	close(r.traces)
	r.mu.Unlock()
	<-r.done
	return nil
}

// forget takes an ended recording out and hands its trace on.
func (r *Recorder) forget(rec *Recording, t *Trace) {
	r.watch.remove(rec, rec.names)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, rec.key)
	r.blocks -= int(rec.blocks)
	if len(t.Touches) == 0 {
		return
	}
	select {
	case r.traces <- finished{t, rec.names}:
	default:
		r.counts.lost.Add(1)
	}
}

// Recording returns how many starts are recorded at the moment.
func (r *Recorder) Recording() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.open)
}
