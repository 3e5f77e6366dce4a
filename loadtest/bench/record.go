package bench

import (
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/zonecache/cached/block"
)

// What the histograms hold, in microseconds.
const (
	lowest  = 1
	highest = int64(10 * time.Minute / time.Microsecond)
	digits  = 3
)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(lowest, highest, digits) }

// note records a latency; one beyond the histogram counts as its highest.
func note(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d.Microseconds(), lowest), highest)) // it is within
}

// maxErrorTexts is how many failures are told in words.
const maxErrorTexts = 5

// maxStarts is how many starts are listed one by one; all are counted.
const maxStarts = 100_000

// origin is what the daemons have read of the origin so far; not known when !ok.
type origin struct {
	blocks, bytes uint64
	ok            bool
}

// A recorder takes down what happens. It is safe for concurrent use.
type recorder struct {
	mu       sync.Mutex
	tiers    map[block.Tier]*tierRecord
	all      *hdrhistogram.Histogram
	dispatch *hdrhistogram.Histogram
	ready    *hdrhistogram.Histogram
	errors   map[string]int64
	texts    []string
	nFailed  int64
	nWrong   int64
	nChecked int64
	starts   []Start
	nStarts  int64
	nLost    int64 // starts that failed

	seconds float64   // measured before this part
	begun   time.Time // of this part
	slot    slotRecord
	series  []Slot
}

type tierRecord struct {
	latency *hdrhistogram.Histogram
	bytes   int64
}

// A slotRecord is an interval under way.
type slotRecord struct {
	from    time.Time
	origin  origin
	latency *hdrhistogram.Histogram
	reads   map[block.Tier]int64
	bytes   map[block.Tier]int64
	failed  int64
}

func newRecorder() *recorder {
	return &recorder{
		tiers: map[block.Tier]*tierRecord{}, errors: map[string]int64{},
		all: newHistogram(), dispatch: newHistogram(), ready: newHistogram(),
	}
}

func (r *recorder) begin(now time.Time, o origin) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun = now
	r.openSlotLocked(now, o)
}

func (r *recorder) openSlotLocked(now time.Time, o origin) {
	h := r.slot.latency
	if h == nil {
		h = newHistogram()
	}
	h.Reset()
	r.slot = slotRecord{from: now, origin: o, latency: h, reads: map[block.Tier]int64{}, bytes: map[block.Tier]int64{}}
}

// zero is the moment at which the measured time began, had it no pauses.
func (r *recorder) zero() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.begun.Add(-time.Duration(r.seconds * float64(time.Second)))
}

// roll ends the interval under way and begins the next.
func (r *recorder) roll(now time.Time, o origin) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closeSlotLocked(now, o, whole)
	r.openSlotLocked(now, o)
}

// end ends the part. Its last interval is a shorter one.
func (r *recorder) end(now time.Time, o origin) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closeSlotLocked(now, o, short)
	r.seconds += now.Sub(r.begun).Seconds()
	r.begun = now
}

// An extent says whether an interval has its full length.
type extent bool

const (
	whole extent = true
	short extent = false
)

func (r *recorder) closeSlotLocked(now time.Time, o origin, e extent) {
	s := &r.slot
	from := r.seconds + s.from.Sub(r.begun).Seconds()
	slot := Slot{From: from, To: r.seconds + now.Sub(r.begun).Seconds(), Whole: bool(e), Errors: s.failed, Reads: map[string]int64{}, Bytes: map[string]int64{}}
	for t, n := range s.reads {
		slot.Reads[t.String()], slot.Bytes[t.String()] = n, s.bytes[t]
	}
	if s.latency.TotalCount() > 0 {
		slot.P50, slot.P99 = quantile(s.latency, 50), quantile(s.latency, 99)
	}
	if o.ok && s.origin.ok && o.bytes >= s.origin.bytes {
		slot.Origin = &OriginCount{Reads: o.blocks - s.origin.blocks, Bytes: o.bytes - s.origin.bytes}
	}
	r.series = append(r.series, slot)
}

func (r *recorder) read(t block.Tier, took time.Duration, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.tiers[t]
	if rec == nil {
		rec = &tierRecord{latency: newHistogram()}
		r.tiers[t] = rec
	}
	note(rec.latency, took)
	note(r.all, took)
	note(r.slot.latency, took)
	rec.bytes += int64(n)
	r.slot.reads[t]++
	r.slot.bytes[t] += int64(n)
}

func (r *recorder) failed(code string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failLocked(code, err.Error())
}

func (r *recorder) failLocked(code, text string) {
	r.errors[code]++
	r.nFailed++
	r.slot.failed++
	if len(r.texts) < maxErrorTexts {
		r.texts = append(r.texts, text)
	}
}

func (r *recorder) wrong(id block.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nChecked++
	r.nWrong++
	r.failLocked(codeWrong, fmt.Sprintf("%s: the bytes are not the block", id))
}

// codeWrong is the code of a block whose bytes are not it.
const codeWrong = "wrong_bytes"

func (r *recorder) verified() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nChecked++
}

// dispatched notes how late the client itself was.
func (r *recorder) dispatched(late time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	note(r.dispatch, late)
}

func (r *recorder) started(s Start) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.nStarts++; s.Failed {
		r.nLost++
	} else {
		note(r.ready, time.Duration(s.Took*float64(time.Millisecond)))
	}
	if len(r.starts) < maxStarts {
		r.starts = append(r.starts, s)
	}
}

// sums returns what was read so far.
func (r *recorder) sums() (reads, bytes, failed int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.tiers {
		bytes += t.bytes
	}
	return r.all.TotalCount(), bytes, r.nFailed
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// quantile returns a percentile in milliseconds.
func quantile(h *hdrhistogram.Histogram, percent float64) float64 {
	return float64(h.ValueAtQuantile(percent)) / 1000
}
