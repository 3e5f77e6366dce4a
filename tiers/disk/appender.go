package disk

// stageSize is how many bytes reach the disk in one write.
const stageSize = 4 << 20

// An appender fills the open segment of one log. Bytes are copied into a stage
// and written a stage at a time, so that small blocks cost no small writes.
type appender struct {
	seg     *segment // nil when none is open
	stage   []byte   // sector-aligned
	n       int      // bytes in stage
	base    int64    // where in the segment the stage begins
	size    int64    // of the segment
	written int64    // bytes written since last asked
}

func (a *appender) open(s *segment, size int64) {
	if a.stage == nil {
		a.stage = alignedBytes(int(min(stageSize, size)))
	}
	a.seg, a.size, a.n, a.base = s, size, 0, 0
}

// end is where the next block goes.
func (a *appender) end() int64 { return a.base + int64(a.n) }

func (a *appender) fits(n int) bool { return a.seg != nil && a.end()+int64(n) <= a.size }

// append copies p to the end of the segment, which it must fit.
func (a *appender) append(p []byte) error {
	for len(p) > 0 {
		n := copy(a.stage[a.n:], p)
		a.n += n
		p = p[n:]
		if a.n == len(a.stage) {
			if err := a.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush writes the stage, padded to whole sectors; the next block starts behind
// the padding, so that committed sectors are never written again.
func (a *appender) flush() error {
	if a.seg == nil || a.n == 0 {
		return nil
	}
	n := int(sectorsUp(int64(a.n)))
	clear(a.stage[a.n:n])
	if _, err := a.seg.file.WriteAt(a.stage[:n], a.base); err != nil {
		return err
	}
	a.base += int64(n)
	a.n = 0
	a.written += int64(n)
	return nil
}

// close forgets the open segment.
func (a *appender) close() { a.seg, a.n = nil, 0 }
