package tiers

import (
	"time"

	"github.com/zonecache/cached/block"
)

// Yield returns a Reader through which programs do not wait for what is read ahead of
// others: while programs read one image, reads for no program of other images are let
// in as far as those programs' reads take no longer than without them. What is read
// ahead of a program itself is not held back for its own reads: it is what it will
// read next. See [yielding].
func Yield(next block.Reader) block.Reader {
	return &limit{next: next, rule: newYielding(time.Now)}
}

const (
	// besides is how long after a program has read others count as beside it.
	besides = 250 * time.Millisecond
	// calmWeight is the share of a new read in the average of those that were alone, and
	// twice that in the average deviation, as for round trips in RFC 6298.
	calmWeight = 1.0 / 8
	// longer is by how much reads may take longer than alone, and at least by twice
	// their usual deviation: that much they differ anyway.
	longer = 1.25
	// leastBehind is how many bytes are let in however long it takes, and what a block of
	// unknown length has.
	leastBehind = 128 << 10
	// steep is the part that is added for each good read until the first bad one, and
	// flat then, as in Scalable TCP (Kelly 2003): reads may be few, and links wide.
	steep, flat = 1.0 / 4, 1.0 / 32
)

// A yielding rule lets every program in, and finds how many bytes for no program fit
// beside programs of other images, as TCP does with what it has under way: it adds
// some for each of their reads that took as long as alone, and halves when one took
// longer, once for each such time. One read is always let in.
type yielding struct {
	behind float64        // bytes for no program beside programs of other images
	held   bool           // one was not let in since that was looked at
	bytes  int            // for no program, inside
	inside map[string]int // reads for no program, by image
	total  int            // of inside
	latest reader
	before reader // the latest of another image
	calm   average
	cut    time.Time // zero: never
	now    func() time.Time
}

func newYielding(now func() time.Time) *yielding {
	return &yielding{behind: leastBehind, inside: map[string]int{}, now: now}
}

// A reader is an image that a program has read.
type reader struct {
	image string
	at    time.Time // zero: none
}

// beside reports whether a program of another image reads.
func (y *yielding) beside(image string) bool {
	r := y.latest
	if r.image == image {
		r = y.before
	}
	return !r.at.IsZero() && y.now().Sub(r.at) < besides
}

// seen notes that a program reads.
func (y *yielding) seen(image string) {
	if y.latest.image != image {
		y.before = y.latest
	}
	y.latest = reader{image, y.now()}
}

func bytesOf(call block.Call) int {
	if call.Bytes > 0 {
		return call.Bytes
	}
	return leastBehind
}

func (y *yielding) fits(call block.Call, _ int) bool {
	fits := call.Cause == block.Demand || y.total == 0 || float64(y.bytes+bytesOf(call)) <= y.behind || !y.beside(call.Image)
	y.held = y.held || !fits
	return fits
}

func (y *yielding) choosy() bool { return true }

// A company is what a program's read met when it came in.
type company struct{ others, own int }

func (y *yielding) company(image string) company {
	own := y.inside[image]
	return company{y.total - own, own}
}

func (y *yielding) came(t *turn) {
	if t.call.Cause == block.Demand {
		y.seen(t.call.Image)
		t.met = y.company(t.call.Image)
		return
	}
	y.inside[t.call.Image]++
	y.total++
	y.bytes += bytesOf(t.call)
}

func (y *yielding) left(t *turn, _ int, took time.Duration, err error) {
	call := t.call
	if call.Cause != block.Demand {
		y.total--
		y.bytes -= bytesOf(call)
		if y.inside[call.Image]--; y.inside[call.Image] == 0 {
			delete(y.inside, call.Image)
		}
		return
	}
	y.seen(call.Image)
	met, now := t.met, y.company(call.Image)
	switch {
	case took == 0 || err != nil:
	case met.others+now.others > 0:
		y.learn(took)
	case met.own+now.own == 0, y.calm.reads == 0, took < y.calm.mean:
		// What is read ahead of the program itself may have kept it waiting.
		y.calm.add(took)
	}
}

// learn goes by a program's read that had others beside it.
func (y *yielding) learn(took time.Duration) {
	switch {
	case y.calm.reads == 0: // whatever it took: there is nothing to go by
	case took > y.calm.most():
		if y.now().Sub(y.cut) >= took {
			y.behind, y.cut = max(leastBehind, y.behind/2), y.now()
		}
	case !y.held: // no more wanted to come in
	case y.cut.IsZero():
		y.behind += y.behind * steep
	default:
		y.behind += y.behind * flat
	}
	y.held = false
}

// An average is that of durations, and of how far they are from it.
type average struct {
	reads           int
	mean, deviation time.Duration
}

func (a *average) add(d time.Duration) {
	if a.reads++; a.reads == 1 {
		a.mean, a.deviation = d, d/2
		return
	}
	off := max(d-a.mean, a.mean-d)
	a.deviation += time.Duration(float64(off-a.deviation) * 2 * calmWeight)
	a.mean += time.Duration(float64(d-a.mean) * calmWeight)
}

// most is what is still usual.
func (a *average) most() time.Duration {
	return max(time.Duration(float64(a.mean)*longer), a.mean+2*a.deviation)
}
