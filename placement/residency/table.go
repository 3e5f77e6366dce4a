package residency

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Table is what one node knows: what it says itself, and what others said.
type Table struct {
	self  string
	epoch time.Time // of the table's own time, in which ages are kept

	mu     sync.RWMutex
	start  uint64
	seq    uint64
	mine   []Entry // by Key, those that are gone included
	others map[string]*record
}

// A record is what is known of another node. It is replaced, never changed.
type record struct {
	start, full uint64
	vouched     uint32  // when the node said what is complete
	entries     []Entry // by Key
}

// New returns the table of a node at the beginning of its run. start is greater
// than those of its runs before, or the others tell it so.
func New(self string, start uint64, now time.Time) *Table {
	return &Table{self: self, epoch: now, start: min(start, MaxStart-1), others: map[string]*record{}}
}

// Self is the name of the node.
func (t *Table) Self() string { return t.self }

// Set says how much of a set this node holds. It reports false where the node says
// all it may already.
func (t *Table) Set(key Key, share Share, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i, ok := find(t.mine, key)
	switch {
	case ok && t.mine[i].Share == share:
		t.mine[i].at = t.seconds(now)
		return true
	case !ok && share == Gone:
		return true
	case !ok && len(t.mine) >= MaxEntries && !t.makeRoomLocked():
		return false
	}
	t.seq++
	e := Entry{Key: key, Seq: t.seq, Share: share, at: t.seconds(now)}
	if ok {
		t.mine[i] = e
		return true
	}
	i, _ = find(t.mine, key)
	t.mine = slices.Insert(t.mine, i, e)
	return true
}

// makeRoomLocked forgets the first one that is gone.
func (t *Table) makeRoomLocked() bool {
	oldest := -1
	for i, e := range t.mine {
		if e.Share == Gone && (oldest < 0 || e.Seq < t.mine[oldest].Seq) {
			oldest = i
		}
	}
	if oldest >= 0 {
		t.mine = slices.Delete(t.mine, oldest, oldest+1)
	}
	return oldest >= 0
}

// Retain has this node say no more of the sets for which keep is false.
func (t *Table) Retain(keep func(Key) bool, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, e := range t.mine {
		if e.Share != Gone && !keep(e.Key) {
			t.seq++
			t.mine[i] = Entry{Key: e.Key, Seq: t.seq, Share: Gone, at: t.seconds(now)}
		}
	}
}

// News returns at most so many changes of this node after the given one, the
// earliest, of the given run; of all of it when the run is another one.
func (t *Table) News(start, after uint64, most int) Record {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if start != t.start {
		after = 0
	}
	r := Record{Node: t.self, Start: t.start}
	for _, e := range t.mine {
		if e.Seq > after {
			r.Entries = append(r.Entries, e)
		}
	}
	if len(r.Entries) > most {
		slices.SortFunc(r.Entries, bySeq)
		r.Entries = r.Entries[:most]
		slices.SortFunc(r.Entries, byKey)
	}
	return r
}

// Latest is the number of the latest change in a record.
func (r Record) Latest() uint64 {
	latest := r.Full
	for _, e := range r.Entries {
		latest = max(latest, e.Seq)
	}
	return latest
}

// Mine returns all that this node says.
func (t *Table) Mine() Record {
	t.mu.RLock()
	defer t.mu.RUnlock()
	r := Record{Node: t.self, Start: t.start, Full: t.seq}
	for _, e := range t.mine {
		if e.Share != Gone {
			r.Entries = append(r.Entries, e)
		}
	}
	return r
}

// Others returns what is known of all other nodes, in no order.
func (t *Table) Others(now time.Time) []Record {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]Record, 0, len(t.others))
	for node, r := range t.others {
		said := Record{Node: node, Start: r.start, Full: r.full, Entries: r.entries, Age: t.age(r.vouched, now)}
		for _, e := range r.entries {
			if e.Seq > r.full {
				said.NewsAge = max(said.NewsAge, t.age(e.at, now))
			}
		}
		all = append(all, said)
	}
	return all
}

// A Holder is a node that said how much of a set it holds.
type Holder struct {
	Node  string
	Share Share
	Age   time.Duration // since it was so
}

// Holders returns who said how much of a set it holds, those that hold most first.
// Where instead is not zero, who holds all of that one holds all of this one, too.
func (t *Table) Holders(key, instead Key, now time.Time) []Holder {
	t.mu.RLock()
	var all []Holder
	if e, ok := pick(t.mine, key, instead); ok {
		all = append(all, Holder{t.self, e.Share, t.age(e.at, now)})
	}
	for node, r := range t.others {
		e, ok := pick(r.entries, key, instead)
		if !ok {
			continue
		}
		at := e.at
		if e.Seq <= r.full { // nothing else was said since
			at = max(at, r.vouched)
		}
		all = append(all, Holder{node, e.Share, t.age(at, now)})
	}
	t.mu.RUnlock()
	slices.SortFunc(all, func(a, b Holder) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), strings.Compare(a.Node, b.Node))
	})
	return all
}

// Says reports whether another node says how much of a set it holds.
func (t *Table) Says(key Key) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, r := range t.others {
		if _, ok := pick(r.entries, key, 0); ok {
			return true
		}
	}
	return false
}

// Most returns the largest share that another node says it holds of any of the sets.
func (t *Table) Most(keys ...Key) (most Share) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, r := range t.others {
		for _, key := range keys {
			if e, ok := pick(r.entries, key, 0); ok {
				most = max(most, e.Share)
			}
		}
	}
	return most
}

func pick(entries []Entry, key, instead Key) (Entry, bool) {
	if i, ok := find(entries, key); ok && entries[i].Share != Gone {
		return entries[i], true
	}
	if i, ok := find(entries, instead); instead != 0 && ok && entries[i].Share == All {
		return entries[i], true
	}
	return Entry{}, false
}

// Keep forgets the other nodes for which keep is false.
func (t *Table) Keep(keep func(node string) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for node := range t.others {
		if !keep(node) {
			delete(t.others, node)
		}
	}
}

// Size returns how many nodes say something, this one included, and of how many sets.
func (t *Table) Size() (nodes, entries int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	count := func(of []Entry) {
		n := 0
		for _, e := range of {
			if e.Share != Gone {
				n++
			}
		}
		if entries += n; n > 0 {
			nodes++
		}
	}
	count(t.mine)
	for _, r := range t.others {
		count(r.entries)
	}
	return nodes, entries
}

// seconds is a time in the table's, which begins with 1.
func (t *Table) seconds(at time.Time) uint32 {
	return uint32(min(max(at.Sub(t.epoch)/time.Second, 0), 1<<31)) + 1
}

func (t *Table) age(at uint32, now time.Time) time.Duration {
	return time.Duration(max(int64(t.seconds(now))-int64(at), 0)) * time.Second
}

func find(entries []Entry, key Key) (int, bool) {
	return slices.BinarySearchFunc(entries, key, func(e Entry, k Key) int { return cmp.Compare(e.Key, k) })
}

func byKey(a, b Entry) int { return cmp.Compare(a.Key, b.Key) }

func bySeq(a, b Entry) int { return cmp.Compare(a.Seq, b.Seq) }
