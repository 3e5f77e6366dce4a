package prefetch

// What makes a profile lose trust, and for how long.
const (
	goodPrecision = 0.7 // at least so much of what is read ahead should be used
	minDecided    = 16  // blocks, before an outcome says anything
	surerShare    = 0.9 // of the starts must have read a block, once some was wasted
	maxStrikes    = 2
	offFor        = 8 // starts
)

// A Trust says how much of its profile a workload is given, by what came of it
// before: after one start in which too much was wasted only what nearly all starts
// read, after two in a row nothing for a while, and then again little at first. It
// is not safe for concurrent use.
type Trust struct {
	strikes int
	off     int // starts left without
}

// Next returns for a start that begins which share of the starts must have read a
// block; false: nothing is to be read ahead.
func (t *Trust) Next() (share float64, ok bool) {
	switch {
	case t.off > 0:
		t.off--
		return 0, false
	case t.strikes > 0:
		return surerShare, true
	}
	return DefaultShare, true
}

// Off reports whether the next start gets nothing.
func (t *Trust) Off() bool { return t.off > 0 }

// Ended learns from the outcome of a start.
func (t *Trust) Ended(o Outcome) {
	if o.Used.Blocks+o.Late.Blocks+o.Wasted.Blocks < minDecided {
		return
	}
	if o.Precision() >= goodPrecision {
		t.strikes = 0
		return
	}
	if t.strikes++; t.strikes >= maxStrikes {
		t.strikes, t.off = 1, offFor
	}
}
