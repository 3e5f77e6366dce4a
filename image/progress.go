package image

import (
	"sync"
	"sync/atomic"
	"time"
)

// A Stage names what a publish is doing, for people.
type Stage string

// The stages, in order. A source may name its own before StageUpload.
const (
	StageRead     Stage = "reading source"
	StageUpload   Stage = "cutting and uploading"
	StageManifest Stage = "writing manifest and ref"
)

// Progress is how far a stage is, in bytes of its input.
type Progress struct {
	Stage  Stage
	Detail string // such as "layer 3 of 7"; may be empty
	Done   int64
	Total  int64 // -1 when not known
	// Stored bytes in StageUpload: sent, and found at the target.
	Uploaded, Shared int64
}

// progressEvery is how often a user hears of progress within a stage.
const progressEvery = 100 * time.Millisecond

// A reporter collects counts from all goroutines and tells them from one. The
// first report of a stage is told at once.
type reporter struct {
	tell   func(Progress)
	latest atomic.Pointer[Progress]
	stage  chan struct{} // a new stage began
	stop   chan struct{}
	wg     sync.WaitGroup

	bytes, uploaded, shared atomic.Int64
}

func newReporter(tell func(Progress)) *reporter {
	r := &reporter{tell: tell, stage: make(chan struct{}, 1), stop: make(chan struct{})}
	if tell != nil {
		r.wg.Go(r.run)
	}
	return r
}

// set replaces the state, for stages that count by themselves.
func (r *reporter) set(p Progress) {
	old := r.latest.Swap(&p)
	if old == nil || old.Stage != p.Stage || old.Detail != p.Detail {
		select {
		case r.stage <- struct{}{}:
		default:
		}
	}
}

// done adds to the bytes that went through the cutter and the compressor.
func (r *reporter) done(n int64) { r.bytes.Add(n) }

// sent adds to the stored bytes.
func (r *reporter) sent(n int64, isNew bool) { //nolint:revive // whether the target had it is what is counted
	if isNew {
		r.uploaded.Add(n)
	} else {
		r.shared.Add(n)
	}
}

func (r *reporter) run() {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-r.stage:
		case <-r.stop:
			r.report()
			return
		}
		r.report()
	}
}

func (r *reporter) report() {
	latest := r.latest.Load()
	if latest == nil {
		return
	}
	p := *latest
	p.Uploaded, p.Shared = r.uploaded.Load(), r.shared.Load()
	if p.Stage == StageUpload {
		p.Done = r.bytes.Load()
	}
	r.tell(p)
}

// close tells the last state and ends the goroutine.
func (r *reporter) close() {
	close(r.stop)
	r.wg.Wait()
}
