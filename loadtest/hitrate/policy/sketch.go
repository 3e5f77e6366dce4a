package policy

// A Sketch estimates how often objects were used lately: a count-min sketch of rows of
// four-bit counters behind a doorkeeper of one bit, all halved after a number
// of uses (Einziger, Friedman, Manes, "TinyLFU", ACM ToS 2017).
type Sketch struct {
	rows  [][]uint8
	door  []uint64
	mask  uint64
	uses  int64
	reset int64
}

const maxUses = 15 // of a counter

// NewSketch returns one that is laid out for so many counters in each row, and halves them after so many uses.
func NewSketch(rows int, counters, reset int64) *Sketch {
	size := int64(64)
	for size < counters {
		size *= 2
	}
	s := &Sketch{rows: make([][]uint8, rows), mask: uint64(size - 1), reset: reset, door: make([]uint64, size/64*doorBits)}
	for i := range s.rows {
		s.rows[i] = make([]uint8, size)
	}
	return s
}

// The doorkeeper is a Bloom filter of so many bits for a counter, and so many for an
// object.
const (
	doorBits   = 8
	doorProbes = 3
)

// hash is the i-th of an object (splitmix64).
func hash(id, i uint64) uint64 {
	x := id + (i+1)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// A probe is where an object's counters and bits are: a row's is first + i*step.
type probe struct{ first, step uint64 }

func probeOf(id uint64) probe {
	h := hash(id, 0)
	return probe{h, h>>32 | 1}
}

func (s *Sketch) doorAt(p probe, i uint64) (*uint64, uint64) {
	bit := (p.first>>8 + (4+i)*p.step) & (s.mask*doorBits + doorBits - 1)
	return &s.door[bit/64], 1 << (bit % 64)
}

func (s *Sketch) at(p probe, row int) *uint8 {
	return &s.rows[row][(p.first+uint64(row)*p.step)&s.mask]
}

// passed reports whether the doorkeeper has seen the object.
func (s *Sketch) passed(p probe) bool {
	for i := range uint64(doorProbes) {
		if word, bit := s.doorAt(p, i); *word&bit == 0 {
			return false
		}
	}
	return true
}

// Use counts a use of an object.
func (s *Sketch) Use(id uint64) {
	p := probeOf(id)
	if s.passed(p) {
		for i := range s.rows {
			if c := s.at(p, i); *c < maxUses {
				*c++
			}
		}
	} else {
		for i := range uint64(doorProbes) {
			word, bit := s.doorAt(p, i)
			*word |= bit
		}
	}
	if s.uses++; s.uses >= s.reset {
		s.halve()
	}
}

func (s *Sketch) halve() {
	s.uses = 0
	clear(s.door)
	for i := range s.rows {
		for k := range s.rows[i] {
			s.rows[i][k] /= 2
		}
	}
}

// Count estimates the uses of an object.
func (s *Sketch) Count(id uint64) int {
	p := probeOf(id)
	least := uint8(maxUses)
	for i := range s.rows {
		least = min(least, *s.at(p, i))
	}
	if s.passed(p) {
		return int(least) + 1
	}
	return int(least)
}
