package disk

// An appender fills the open segment of one log. Bytes are copied into a stage
// and written a stage at a time, so that small blocks cost no small writes.
type appender struct {
	stages  *stages
	seg     *segment // nil when none is open
	stage   []byte   // sector-aligned; nil when empty
	n       int      // bytes in stage
	base    int64    // where in the segment the stage begins
	size    int64    // of the segment
	written int64    // bytes written since last asked
}

func (a *appender) open(s *segment, size int64) { a.seg, a.size, a.n, a.base = s, size, 0, 0 }

// end is where the next block goes.
func (a *appender) end() int64 { return a.base + int64(a.n) }

func (a *appender) fits(n int) bool { return a.seg != nil && a.end()+int64(n) <= a.size }

// append copies p to the end of the segment, which it must fit.
func (a *appender) append(p []byte) {
	for len(p) > 0 {
		if a.stage == nil {
			a.stage = a.stages.get()
		}
		n := copy(a.stage[a.n:], p)
		a.n += n
		p = p[n:]
		if a.n == len(a.stage) {
			a.flush()
		}
	}
}

// flush starts to write the stage, padded to whole sectors; the next block goes
// behind the padding, so that committed sectors are never written again.
func (a *appender) flush() {
	if a.n == 0 {
		return
	}
	n := int(sectorsUp(int64(a.n)))
	clear(a.stage[a.n:n])
	a.stages.write(a.seg.file, a.stage, n, a.base)
	a.base += int64(n)
	a.stage, a.n = nil, 0
	a.written += int64(n)
}

// close forgets the open segment and what was not flushed.
func (a *appender) close() {
	if a.stage != nil {
		a.stages.put(a.stage)
	}
	a.seg, a.stage, a.n = nil, nil, 0
}
