package tiers

import "time"

// What a pace goes by.
const (
	// firstPlaces is where it begins, before it has seen anything.
	firstPlaces = 16
	// crowded is how many times as long as the quickest one reads may take on
	// average before there are fewer of them, and roomy how many before there are
	// more. An object store's own delays vary by a few times, and so do blocks.
	crowded, roomy = 8, 4
	// tooLong is too long for a block on average, whatever the quickest took: a host
	// that came when the queue was long already has seen no better.
	tooLong = time.Second
	// bestFor is how long the quickest read counts; two such spans are kept, since
	// the way to the origin may change.
	bestFor = 10 * time.Minute
)

// A pace finds how many reads at a time an origin serves without making them
// wait. As TCP Vegas does, it compares how long reads take with the quickest
// one: what is more is time spent in a queue. After as many reads as there are
// places it takes a quarter of the places away, or adds an eighth when all were
// in use; as soon as they take too long on average, whatever the rest of them take,
// it leaves as many as would not. A read that fails halves them.
type pace struct {
	least, most int

	best, before time.Duration // the quickest of this span and of the one before; 0: none
	span         time.Time     // when this span began
	sum          time.Duration // of the reads since places were last looked at
	reads        int
	full         bool // all places were in use meanwhile
}

// took notes a read while inside of places were in use, and returns how many
// places there are from now on.
func (p *pace) took(d time.Duration, inside, places int, now time.Time) int {
	d = max(d, 1)
	if now.Sub(p.span) > bestFor {
		p.before, p.best, p.span = p.best, 0, now
	}
	if p.best == 0 || d < p.best {
		p.best = d
	}
	p.sum += d
	p.reads++
	p.full = p.full || inside >= places
	if p.sum > tooLong*time.Duration(places) {
		// Whatever the rest of them take. Many hosts that begin at once have no time to
		// find out step by step: an origin whose link is thin starves some reads of all.
		mean := p.sum / time.Duration(p.reads)
		places = max(p.least, min(places*3/4, int(int64(places)*int64(tooLong)/int64(mean))))
		p.sum, p.reads, p.full = 0, 0, false
		return places
	}
	if p.reads < places {
		return places
	}
	best := p.best
	if p.before > 0 {
		best = min(best, p.before)
	}
	mean := p.sum / time.Duration(p.reads)
	switch {
	case mean > crowded*best:
		places = max(p.least, places*3/4)
	case mean < roomy*best && p.full:
		places = min(p.most, places+max(1, places/8))
	}
	p.sum, p.reads, p.full = 0, 0, false
	return places
}

// failed notes that the origin did not answer, or said that it has too much to do.
func (p *pace) failed(places int) int {
	p.sum, p.reads, p.full = 0, 0, false
	return max(p.least, places/2)
}
