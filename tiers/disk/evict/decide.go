package evict

import (
	"slices"

	"github.com/zonecache/cached/block"
)

// A Mode says why a segment is reclaimed.
type Mode uint8

// The modes.
const (
	Rotate Mode = iota // to write a new one: hot blocks live on, and those that must be kept
	Shrink             // the space is needed by others: everything goes, segments with blocks that must be kept last
)

// A Decision is what becomes of a segment whose turn it is.
type Decision struct {
	Spared  bool     // it lives on whole: [Policy.Spare]
	Rewrite []Record // else these are written once more, to the main log, and the others go
	Lost    []Record // of the others: what should have been kept
}

// Decide decides about s, which [Policy.Pop] returned and in which the live records
// are, and pays for what is to be rewritten. What kept names is not evicted where
// there is a choice.
func (p *Policy[S]) Decide(mode Mode, s S, live []Record, kept func(block.ID) bool) Decision {
	part := s.Part()
	var hot, keep []Record
	var hotBytes, keepBytes int64
	for _, r := range live {
		switch {
		case kept(r.ID):
			keep = append(keep, r)
			keepBytes += int64(r.Length)
		case mode == Rotate && part.Heat.Level(r.Offset) > 0:
			hot = append(hot, r)
			hotBytes += int64(r.Length)
		}
	}
	switch p.judge(mode, part, hotBytes, keepBytes) {
	case spared:
		return Decision{Spared: true}
	case dropped:
		return Decision{Rewrite: p.afford(part, hot), Lost: keep}
	}
	return Decision{Rewrite: append(keep, p.afford(part, hot)...)}
}

// A fate is what becomes of a segment.
type fate uint8

const (
	spared  fate = iota // it lives on whole
	carried             // it goes, what must be kept is rewritten
	dropped             // it goes with all that must be kept in it
)

// judge decides about s. Every round takes heat away, but readers add it: after a
// round through all segments one must go. What must be kept goes only where there
// is nothing else left: when more is kept than the tier has room for, or others
// take the space.
func (p *Policy[S]) judge(mode Mode, s *Segment, hotBytes, keptBytes int64) fate {
	heavy := keptBytes*keptWhole >= s.Used*keptParts
	rounds, verdict := 1, carried
	switch {
	case mode == Shrink && keptBytes > 0:
		verdict = dropped
	case mode == Shrink:
		rounds, verdict = 0, dropped
	case heavy:
		rounds, verdict = 2, dropped
	case hotBytes*spareShare < s.Used && (hotBytes+keptBytes)*keptWhole < s.Used*keptParts:
		rounds = 0
	}
	if rounds == 0 || p.spared > rounds*p.Len() {
		p.spared = 0
		return verdict
	}
	p.spared++
	return spared
}

// afford returns which of the hot records of s are rewritten, hottest first, and pays
// for them.
func (p *Policy[S]) afford(s *Segment, hot []Record) []Record {
	slices.SortStableFunc(hot, func(a, b Record) int {
		return int(s.Heat.Level(b.Offset)) - int(s.Heat.Level(a.Offset))
	})
	n := 0
	for n < len(hot) && int64(hot[n].Length) <= p.tokens {
		p.tokens -= int64(hot[n].Length)
		n++
	}
	return hot[:n]
}
