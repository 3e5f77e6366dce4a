package residency

import (
	"fmt"
	"slices"
	"time"
)

// An Outcome is what became of a record that was heard.
type Outcome uint8

// The outcomes.
const (
	Known Outcome = iota // it says nothing new
	Taken                // it does
	Mine                 // it is of this node, as others know it
	Full                 // there are too many nodes
)

// Check says what is wrong with a record that came from elsewhere.
func (r Record) Check() error {
	if r.Start >= MaxStart || r.Full >= MaxStart {
		return fmt.Errorf("run %d, change %d: want less than %d", r.Start, r.Full, uint64(MaxStart))
	}
	if len(r.Entries) > MaxEntries {
		return fmt.Errorf("%d entries: want at most %d", len(r.Entries), MaxEntries)
	}
	for i, e := range r.Entries {
		switch {
		case !e.Share.Valid():
			return fmt.Errorf("share %d of %d", e.Share, All)
		case e.Seq == 0 || e.Seq >= MaxStart:
			return fmt.Errorf("change %d: want 1 to %d", e.Seq, uint64(MaxStart)-1)
		case i > 0 && r.Entries[i-1].Key >= e.Key:
			return fmt.Errorf("entries are not in the order of their keys")
		}
	}
	return nil
}

// Merge takes what a node said. The record must have passed [Record.Check]. Its
// entries belong to the table from now on.
//
// Records may come in any order, and again: of two runs the later one counts, of a
// set the later change, and what a complete record leaves out is gone, unless there
// is a later change. Of more than MaxEntries sets those are kept that changed last.
func (t *Table) Merge(r Record, now time.Time) Outcome {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.Node == t.self {
		return t.refuteLocked(r)
	}
	was := t.others[r.Node]
	if was == nil && len(t.others) >= MaxNodes {
		return Full
	}
	if was != nil && r.Start < was.start {
		return Known
	}
	vouched, news := t.since(r.Age, now), t.since(r.NewsAge, now)
	for i, e := range r.Entries {
		r.Entries[i].at = news
		if e.Seq <= r.Full {
			r.Entries[i].at = vouched
		}
	}
	next := &record{start: r.Start, full: r.Full, entries: r.Entries}
	if r.Full > 0 {
		next.vouched = vouched
	}
	if was != nil && was.start == r.Start {
		next = join(was, next)
	}
	next.trim()
	t.others[r.Node] = next // though it may say what was known: it is vouched for again
	if was.says(next) {
		return Known
	}
	return Taken
}

// refuteLocked makes this run later than one that others know of, for a clock that
// went back between the two.
func (t *Table) refuteLocked(r Record) Outcome {
	if r.Start < t.start || r.Start == t.start && r.Latest() <= t.seq || r.Start+1 >= MaxStart {
		return Known
	}
	t.start = r.Start + 1
	return Mine
}

// since is when something of that age was so.
func (t *Table) since(age time.Duration, now time.Time) uint32 {
	return t.seconds(now.Add(-min(max(age, 0), 1<<31*time.Second)))
}

// join returns what two records of one run say together.
func join(a, b *record) *record {
	both := &record{start: a.start, full: max(a.full, b.full), vouched: a.vouched}
	if b.full > a.full {
		both.vouched = b.vouched
	} else if b.full == a.full {
		both.vouched = max(a.vouched, b.vouched)
	}
	both.entries = make([]Entry, 0, max(len(a.entries), len(b.entries)))
	for i, k := 0, 0; i < len(a.entries) || k < len(b.entries); {
		switch {
		case k == len(b.entries) || i < len(a.entries) && a.entries[i].Key < b.entries[k].Key:
			if a.entries[i].Seq > b.full {
				both.entries = append(both.entries, a.entries[i])
			}
			i++
		case i == len(a.entries) || b.entries[k].Key < a.entries[i].Key:
			if b.entries[k].Seq > a.full {
				both.entries = append(both.entries, b.entries[k])
			}
			k++
		default:
			e := a.entries[i]
			if other := b.entries[k]; other.Seq > e.Seq {
				e = other
			} else if other.Seq == e.Seq {
				e.at = max(e.at, other.at)
			}
			both.entries = append(both.entries, e)
			i, k = i+1, k+1
		}
	}
	return both
}

// trim leaves out what is gone and complete, and what changed first where there is
// too much.
func (r *record) trim() {
	r.entries = slices.DeleteFunc(r.entries, func(e Entry) bool { return e.Share == Gone && e.Seq <= r.full })
	if len(r.entries) > MaxEntries {
		slices.SortFunc(r.entries, func(a, b Entry) int { return bySeq(b, a) })
		r.entries = r.entries[:MaxEntries:MaxEntries]
		slices.SortFunc(r.entries, byKey)
	}
}

// says reports whether a record says what another one does. No record says nothing.
func (r *record) says(other *record) bool {
	if r == nil {
		return other.full == 0 && len(other.entries) == 0
	}
	return r.start == other.start && r.full == other.full && slices.EqualFunc(r.entries, other.entries, func(a, b Entry) bool {
		return a.Key == b.Key && a.Seq == b.Seq && a.Share == b.Share
	})
}
