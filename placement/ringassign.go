package placement

import (
	"math/bits"
	"slices"
)

// LoadBound is how much more than its fair share a member may own at most, one
// slot aside. Up to 1000 members of equal weight it hardly ever acts.
const LoadBound = 1.08

// The bound in whole numbers, for the same result everywhere.
const boundNumerator, boundDenominator = 108, 100

// roundsPerDraw is in how many rounds all members together draw as many slots as
// there are. Fewer mean more comparisons, more mean more overhead.
const roundsPerDraw = 16

// maxRounds is what an uint8 counts.
const maxRounds = 255

// assign fills the table of slots: first those that are drawn early, in rounds in
// which every member draws, then the few that are left, each by looking up all
// members' turns. Going on until the last slot is drawn would take twice as long.
func (r *Ring) assign() {
	r.counts = make([]int, len(r.draws))
	if len(r.draws) < 2 {
		for i := range r.counts {
			r.counts[i] = slotCount
		}
		return
	}
	r.clock = newClock()
	r.slots = make([]uint16, slotCount)
	seen := make([]uint8, slotCount) // the round in which the slot was drawn first
	weight, paces := r.paces()
	left := slotCount
	for round := uint64(1); round <= maxRounds && left*len(r.draws) > slotCount; round++ {
		for i := range paces {
			paces[i].advance(&r.clock, round, weight)
		}
		left -= r.drawRound(uint8(round), paces, seen)
	}
	for slot, round := range seen {
		if round == 0 {
			r.slots[slot] = uint16(r.first(uint32(slot)))
		}
	}
	for _, i := range r.slots {
		r.counts[i]++
	}
	r.bound(weight)
}

// A pace is how many turns all members of one weight have had before a round and
// by its end.
type pace struct {
	weight       uint64
	from, before uint32
}

// advance moves the pace on to the end of the round, which is at the time
// round/roundsPerDraw/sum, in natural units.
func (p *pace) advance(c *clock, round, sum uint64) {
	const perRound = 24785312075 / roundsPerDraw // 2^clockBits * 2^10 / ln(2)
	high, low := bits.Mul64(perRound*round, p.weight)
	end, _ := bits.Div64(high, low, sum)
	p.from, p.before = p.before, c.turnsBy(end>>10, p.before)
}

// paces returns the sum of all weights and a pace for each different one, whose
// index each draw then knows.
func (r *Ring) paces() (sum uint64, paces []pace) {
	index := make(map[uint64]int)
	for i := range r.draws {
		d := &r.draws[i]
		at, ok := index[d.weight]
		if !ok {
			at = len(paces)
			index[d.weight] = at
			paces = append(paces, pace{weight: d.weight})
		}
		d.pace = at
		sum += d.weight
	}
	return sum, paces
}

// drawRound lets every member have its turns of the round and returns how many
// slots were drawn for the first time.
func (r *Ring) drawRound(round uint8, paces []pace, seen []uint8) int {
	drawn := 0
	for i := range r.draws {
		d := &r.draws[i]
		for k := paces[d.pace].from; k < paces[d.pace].before; k++ {
			slot := d.slot(k)
			switch seen[slot] {
			case 0:
				seen[slot], r.slots[slot] = round, uint16(i)
				drawn++
			case round: // who was it first?
				if r.before(turn{draw: i, k: k}, r.turn(int(r.slots[slot]), slot)) {
					r.slots[slot] = uint16(i)
				}
			}
		}
	}
	return drawn
}

// first returns who draws the slot first.
func (r *Ring) first(slot uint32) int {
	best := r.turn(0, slot)
	for i := 1; i < len(r.draws); i++ {
		if t := r.turn(i, slot); r.before(t, best) {
			best = t
		}
	}
	return best.draw
}

// bound takes from members above the bound the slots they drew last, and gives
// each to the member with room for it that drew it next.
func (r *Ring) bound(weight uint64) {
	limits := make([]int, len(r.draws))
	excess := make(map[int][]turn)
	for i, d := range r.draws {
		high, low := bits.Mul64(d.weight*boundNumerator, slotCount)
		limit, _ := bits.Div64(high, low, weight*boundDenominator)
		limits[i] = int(limit) + 1
		if r.counts[i] > limits[i] {
			excess[i] = nil
		}
	}
	if len(excess) == 0 {
		return
	}
	for slot, i := range r.slots {
		if turns, ok := excess[int(i)]; ok {
			excess[int(i)] = append(turns, r.turn(int(i), uint32(slot)))
		}
	}
	var homeless []turn
	for i, turns := range excess {
		slices.SortFunc(turns, r.compare)
		homeless = append(homeless, turns[limits[i]:]...)
		r.counts[i] = limits[i]
	}
	slices.SortFunc(homeless, r.compare) // the map's order must not show
	for _, t := range homeless {
		slot := r.draws[t.draw].slot(t.k)
		next, found := turn{}, false
		for i := range r.draws {
			if r.counts[i] >= limits[i] {
				continue
			}
			if u := r.turn(i, slot); !found || r.before(u, next) {
				next, found = u, true
			}
		}
		if !found { // the limits add up to more than the slots
			panic("placement: all members of a ring are full")
		}
		r.slots[slot] = uint16(next.draw)
		r.counts[next.draw]++
	}
}

func (r *Ring) compare(a, b turn) int {
	switch {
	case r.before(a, b):
		return -1
	case r.before(b, a):
		return 1
	}
	return 0
}
