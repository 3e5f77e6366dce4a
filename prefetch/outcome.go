package prefetch

// A Count is a number of blocks and their bytes in stored form.
type Count struct{ Blocks, Bytes int64 }

func (c *Count) add(bytes int) { c.Blocks++; c.Bytes += int64(bytes) }

func (c *Count) take(bytes int) { c.Blocks--; c.Bytes -= int64(bytes) }

// Plus returns the sum.
func (c Count) Plus(o Count) Count { return Count{c.Blocks + o.Blocks, c.Bytes + o.Bytes} }

// An Outcome says what came of blocks that were read ahead. Each is one of Used,
// Late, Wasted and Pending.
type Outcome struct {
	Used    Count // here when a program asked for it
	Late    Count // on its way when a program asked for it
	Wasted  Count // not asked for until the run ended, or its read failed
	Pending Count // not asked for so far
	Missed  int64 // blocks a program asked for first
}

// Plus returns the sum.
func (o Outcome) Plus(p Outcome) Outcome {
	return Outcome{o.Used.Plus(p.Used), o.Late.Plus(p.Late), o.Wasted.Plus(p.Wasted), o.Pending.Plus(p.Pending), o.Missed + p.Missed}
}

// Precision returns which share of what was read ahead a program asked for, as far
// as that is known; 1 when nothing was.
func (o Outcome) Precision() float64 {
	hits := o.Used.Blocks + o.Late.Blocks
	if hits+o.Wasted.Blocks == 0 {
		return 1
	}
	return float64(hits) / float64(hits+o.Wasted.Blocks)
}

// Recall returns which share of what programs asked for was read ahead, or was on
// its way; 1 when they asked for nothing.
func (o Outcome) Recall() float64 {
	hits := o.Used.Blocks + o.Late.Blocks
	if hits+o.Missed == 0 {
		return 1
	}
	return float64(hits) / float64(hits+o.Missed)
}

// A tally keeps the outcome of one run, whose lock guards it.
type tally struct {
	Outcome
	here []bool // what the run has read
	over bool
}

// began notes that a block is being read ahead, gone that it does not come.
func (t *tally) began(bytes int) { t.Pending.add(bytes) }

func (t *tally) gone(bytes int) {
	if !t.over {
		t.Pending.take(bytes)
		t.Wasted.add(bytes)
	}
}

// touched notes that a program asks for block i, which the run has begun to read,
// for the first time.
func (t *tally) touched(i, bytes int) {
	switch {
	case t.over:
		return
	case t.here[i]:
		t.Used.add(bytes)
	default:
		t.Late.add(bytes)
	}
	t.Pending.take(bytes)
}

// miss notes that a program asks for a block nobody has begun to read.
func (t *tally) miss() {
	if !t.over {
		t.Missed++
	}
}

// end has what is pending wasted. Nothing changes any more.
func (t *tally) end() {
	t.over = true
	t.Wasted = t.Wasted.Plus(t.Pending)
	t.Pending = Count{}
}
