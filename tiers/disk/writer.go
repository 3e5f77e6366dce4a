package disk

import (
	"errors"
	"sync"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/tiers/disk/evict"
)

const (
	commitBytes = 16 << 20 // appended before a commit
	takeBytes   = 8 << 20  // taken from the queue at a time
)

// The writer is the one goroutine that changes what is on the disk: it appends
// accepted blocks to segments, commits them to the index, and reclaims segments.
// Its fields belong to that goroutine.
type writer struct {
	t      *Tier
	policy evict.Policy[*segment]

	stages    *stages
	appenders [evict.Logs]appender
	filled    []*segment // full, not yet committed
	written   []placed   // appended, not yet committed
	pendBytes int64      // of written
	moves     []block.Block
	batch     []block.Block // scratch
	orphans   []uint64      // segments in the index whose file is gone

	nextSegment uint64
	segBytes    int64
	indexBytes  int64

	settles chan chan struct{}
	drops   chan *dropping
	stop    chan struct{}
	stopped sync.WaitGroup
}

// A placed block has been appended and awaits its commit.
type placed struct {
	record
	seg *segment
}

func newWriter(t *Tier) *writer {
	w := &writer{
		t:           t,
		stages:      newStages(int(min(stageSize, evict.SegmentSize(t.opts.Capacity)))),
		nextSegment: 1,
		settles:     make(chan chan struct{}),
		drops:       make(chan *dropping),
		stop:        make(chan struct{}),
	}
	for i := range w.appenders {
		w.appenders[i].stages = w.stages
	}
	return w
}

func (w *writer) start() { w.stopped.Go(w.run) }

func (w *writer) run() {
	tick := time.NewTicker(w.t.opts.FlushEvery)
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			w.work(w.finish)
			return
		case <-tick.C:
			w.t.health.retry(w.t.opts.now())
			w.work(w.tend)
		case done := <-w.settles:
			w.work(w.commit)
			close(done)
		case d := <-w.drops:
			w.work(func() error { return w.drop(d) })
			close(d.done)
		case <-w.t.queue.wake:
			w.work(nil)
		}
	}
}

// work appends all that is queued, then does what comes after. Whatever fails
// makes the tier sick, and costs the blocks not yet committed.
func (w *writer) work(then func() error) {
	err := w.appendQueued()
	if err == nil && then != nil {
		err = then()
	}
	if err != nil {
		w.giveUp(err)
	}
}

// tend is the regular work: commit, purge, keep the watermark.
func (w *writer) tend() error {
	if err := w.commit(); err != nil {
		return err
	}
	if err := w.purgeOrphan(); err != nil {
		return err
	}
	return w.keepFree()
}

func (w *writer) finish() error {
	if w.t.index.failed.Load() {
		return nil
	}
	if err := w.commit(); err != nil {
		return err
	}
	return w.saveState()
}

func (w *writer) close() {
	close(w.stop)
	w.stopped.Wait()
}

func (w *writer) settle() {
	done := make(chan struct{})
	stopped := w.stop
	select {
	case w.settles <- done:
	case <-stopped:
		return
	}
	<-done
}

func (w *writer) appendQueued() error {
	for {
		var forgets map[block.ID]location
		w.batch, forgets = w.t.queue.take(w.batch[:0], takeBytes)
		if err := w.forget(forgets); err != nil {
			return err
		}
		if len(w.batch) == 0 {
			return nil
		}
		for _, b := range w.batch {
			if err := w.accept(b); err != nil {
				return err
			}
		}
		clear(w.batch)
	}
}

// accept appends a queued block, unless the tier has it. The block stays
// pending until committed.
func (w *writer) accept(b block.Block) error {
	id, n := b.ID(), b.Len()
	l, ok, err := w.t.index.get(id)
	if err != nil || ok && w.t.segments.get(l.segment) != nil {
		w.t.queue.done(id)
		return nil //nolint:nilerr // counted where the index is given up; not the fault of a write
	}
	err = w.place(b, w.policy.LogFor(id))
	if errors.Is(err, errNoRoom) {
		w.t.queue.done(id)
		w.t.counters.lost.Add(1)
		if !w.t.noRoom.Swap(true) {
			w.t.log.Warn("disk: no room for a segment; blocks are not kept until there is", "dir", w.t.opts.Dir, "min_free", w.t.opts.MinFree)
		}
		return w.placeMoves() // of segments reclaimed before the room ran out
	}
	if err != nil {
		return err
	}
	w.policy.Wrote(n)
	w.t.budget.spend(int64(n))
	if err := w.placeMoves(); err != nil {
		return err
	}
	if w.pendBytes >= commitBytes {
		return w.commit()
	}
	return nil
}

// placeMoves appends the hot blocks of reclaimed segments to the main log. It
// may reclaim more, which adds moves: the policy's tokens bound them.
func (w *writer) placeMoves() error {
	for len(w.moves) > 0 {
		b := w.moves[0]
		w.moves = w.moves[1:]
		err := w.place(b, evict.Main)
		if errors.Is(err, errNoRoom) {
			w.t.queue.done(b.ID())
			w.t.counters.lost.Add(1)
			continue
		}
		if err != nil {
			return err
		}
		w.t.counters.bytesRewritten.Add(int64(b.Len()))
		w.t.budget.spend(int64(b.Len()))
	}
	w.moves = nil
	return nil
}

// place appends b to a log, opening its next segment if needed.
func (w *writer) place(b block.Block, log evict.Log) error {
	a := &w.appenders[log]
	if !a.fits(b.Len()) {
		w.fill(a)
		if err := w.openSegment(log); err != nil {
			return err
		}
	}
	r := record{ID: b.ID(), Offset: uint32(a.end()), Length: uint32(b.Len())}
	a.append(b.Bytes())
	w.written = append(w.written, placed{r, a.seg})
	w.pendBytes += int64(r.Length)
	return nil
}

// fill ends the open segment; its last commit is still to come.
func (w *writer) fill(a *appender) {
	if a.seg == nil {
		return
	}
	a.flush()
	w.filled = append(w.filled, a.seg)
	a.close()
}

// giveUp drops what is not committed, so that the next try starts on fresh
// segments. The block that failed may lie on bad sectors.
func (w *writer) giveUp(err error) {
	t := w.t
	t.counters.writeErrors.Add(1)
	if t.health.fall(err, t.opts.now()) {
		t.log.Error("disk: writing failed; serving what is there, declining new blocks, trying again later",
			"dir", t.opts.Dir, "error", err)
	}
	_ = w.stages.wait() // it will not be committed, whatever became of it
	clear(w.batch)
	w.batch, w.moves, w.written, w.pendBytes = w.batch[:0], nil, w.written[:0], 0
	// All that is pending goes, wherever between queue and commit it was; what is
	// queued would only meet the same error.
	t.counters.lost.Add(int64(t.queue.drain()))
	abandoned := w.filled
	w.filled = nil
	for i := range w.appenders {
		if s := w.appenders[i].seg; s != nil {
			abandoned = append(abandoned, s)
			w.appenders[i].close()
		}
	}
	for _, s := range abandoned {
		if s.Used > 0 {
			w.policy.Push(s) // what was committed stays readable
			continue
		}
		if err := w.discard(s); err != nil {
			t.log.Warn("disk: removing an abandoned segment", "segment", s.id, "error", err)
		}
	}
}
