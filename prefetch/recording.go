package prefetch

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecache/cached/block"
)

// A Recording notes what one start reads.
type Recording struct {
	recorder *Recorder
	key      recorded
	names    []string
	index    map[block.ID]uint32 // where a block comes first in the image
	blocks   uint32
	seen     []atomic.Uint32 // a bit for each block
	began    time.Time

	mu      sync.Mutex
	touches []Touch
	timer   *time.Timer
	last    time.Duration // when something new was read
	ended   bool
	onEnd   func()
}

func newRecording(r *Recorder, key recorded, image Image) *Recording {
	rec := &Recording{recorder: r, key: key, names: image.Names, blocks: uint32(len(image.Blocks)), began: time.Now()}
	rec.index = make(map[block.ID]uint32, len(image.Blocks))
	for i, b := range image.Blocks {
		if _, ok := rec.index[b.ID]; !ok {
			rec.index[b.ID] = uint32(i)
		}
	}
	rec.seen = make([]atomic.Uint32, (len(image.Blocks)+31)/32)
	return rec
}

// Touched notes that the program asks for a block, whatever the workload of a read.
func (r *Recording) Touched(id block.ID) { r.touched(r.key.workload, id) }

// OnEnd has f called once when the recording has ended; at once when it has. f must
// not wait.
func (r *Recording) OnEnd(f func()) {
	r.mu.Lock()
	ended := r.ended
	if !ended {
		r.onEnd = f
	}
	r.mu.Unlock()
	if ended {
		f()
	}
}

// touched implements listener. Only the first touch of a block takes a lock.
func (r *Recording) touched(workload string, id block.ID) {
	if workload != r.key.workload {
		return
	}
	i, ok := r.index[id]
	bit := uint32(1) << (i % 32)
	if !ok || r.seen[i/32].Load()&bit != 0 || r.seen[i/32].Or(bit)&bit != 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	// The monotonic clock: one that is set in mid-start changes nothing.
	r.last = max(time.Since(r.began), r.last)
	r.touches = append(r.touches, Touch{Block: i, After: r.last.Truncate(time.Millisecond)})
}

// wait has the recording looked after in a while.
func (r *Recording) wait(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		r.timer = time.AfterFunc(d, r.look)
	}
}

// look ends the recording when nothing new was read for long.
func (r *Recording) look() {
	o := r.recorder.opts
	r.mu.Lock()
	age := time.Since(r.began)
	left := min(r.last+o.Quiet, o.Longest) - age
	r.mu.Unlock()
	if left <= 0 {
		r.End()
		return
	}
	r.wait(left)
}

// End ends the recording: the program is ready, or gone. Again it does nothing.
func (r *Recording) End() {
	r.mu.Lock()
	was, tell := r.ended, r.onEnd
	r.ended, r.onEnd = true, nil
	if r.timer != nil {
		r.timer.Stop()
	}
	t := &Trace{
		Image: r.key.image, Workload: r.key.workload, Began: r.began.Round(0).UTC().Truncate(time.Millisecond),
		Blocks: r.blocks, Touches: r.touches,
	}
	r.mu.Unlock()
	if was {
		return
	}
	r.recorder.forget(r, t)
	if tell != nil {
		tell()
	}
}
