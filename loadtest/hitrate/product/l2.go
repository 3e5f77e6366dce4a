package product

import (
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/loadtest/hitrate/policy"
	"github.com/zonecache/cached/tiers/disk/evict"
)

// What the index of tiers/disk takes, of which the tier keeps room for twice as much,
// and for some logs of it.
const (
	indexEntry = 120 // bytes for a block: its key, its record, Pebble's share
	memTables  = 4
)

// An L2 is the disk tier's policy over segments that are not written anywhere. Where the
// tier has what it accepted durable, and its reads counted, within a second, this has it
// at once.
type L2 struct {
	capacity int64
	size     int64 // of a segment
	policy   evict.Policy[*segment]
	open     [evict.Logs]*segment
	segments int64      // bytes of them
	table    []*segment // by number, those that exist
	free     []uint32   // numbers
	index    []place    // by object
	held     int64      // objects
	moves    []evict.Record
	kept     func(block.ID) bool

	written, rewritten int64
}

type segment struct {
	evict.Segment
	number  uint32
	records []evict.Record
}

// A place is where an object is.
type place struct {
	segment uint32 // 1 + its number; 0: nowhere
	offset  uint32
}

var _ policy.Cache = (*L2)(nil)

// NewL2 returns an empty tier of that many bytes.
func NewL2(capacity int64) *L2 {
	return NewL2Keeping(capacity, func(block.ID) bool { return false })
}

// NewL2Keeping returns one that evicts what kept names last, as the daemon's does what
// is pinned.
func NewL2Keeping(capacity int64, kept func(block.ID) bool) *L2 {
	c := &L2{capacity: capacity, size: evict.SegmentSize(capacity), kept: kept}
	c.policy.SetCapacity(capacity)
	return c
}

// Access implements [policy.Cache].
func (c *L2) Access(id uint64, size int64) bool {
	if c.Read(id) {
		return true
	}
	c.Write(id, size)
	return false
}

// Read reports whether the tier has the object.
func (c *L2) Read(id uint64) bool {
	if !c.Holds(id) {
		return false
	}
	p := c.index[id]
	c.table[p.segment-1].Heat.Bump(p.offset)
	return true
}

// Holds is Read that does not count.
func (c *L2) Holds(id uint64) bool {
	return id < uint64(len(c.index)) && c.index[id].segment != 0
}

// Write stores an object, unless the tier has it.
func (c *L2) Write(id uint64, size int64) {
	if c.Holds(id) || size > block.MaxSize {
		return
	}
	for id >= uint64(len(c.index)) {
		c.index = append(c.index, make([]place, 1+len(c.index)/4)...)
	}
	name := ID(id)
	if !c.place(evict.Record{ID: name, Length: uint32(size)}, c.policy.LogFor(name)) {
		c.moves = nil
		return
	}
	c.policy.Wrote(int(size))
	c.written += size
	for len(c.moves) > 0 {
		r := c.moves[0]
		c.moves = c.moves[1:]
		if c.place(r, evict.Main) {
			c.written += int64(r.Length)
			c.rewritten += int64(r.Length)
		}
	}
	c.moves = nil
}

// Written returns the bytes written, and how many of them for the second time.
func (c *L2) Written() (all, again int64) { return c.written, c.rewritten }

// place appends a record to a log; false when there is no room.
func (c *L2) place(r evict.Record, log evict.Log) bool {
	s := c.open[log]
	if s == nil || s.Used+int64(r.Length) > c.size {
		if s != nil {
			c.policy.Push(s)
			c.open[log] = nil
		}
		if !c.makeRoom() {
			return false
		}
		s = c.newSegment(log)
	}
	r.Offset = uint32(s.Used)
	s.records = append(s.records, r)
	s.Used += int64(r.Length)
	c.index[Number(r.ID)] = place{s.number + 1, r.Offset}
	c.held++
	return true
}

func (c *L2) newSegment(log evict.Log) *segment {
	s := &segment{Segment: evict.Segment{Heat: evict.NewHeat(c.size), Log: log, Order: c.policy.NextOrder(), Size: c.size}}
	if last := len(c.free) - 1; last >= 0 {
		s.number = c.free[last]
		c.free = c.free[:last]
	} else {
		s.number = uint32(len(c.table))
		c.table = append(c.table, nil)
	}
	c.table[s.number] = s
	c.open[log] = s
	c.segments += c.size
	return s
}

// room is what the index may occupy.
func (c *L2) room() int64 {
	return 2*indexEntry*c.held + memTables*min(max(c.capacity/256, 256<<10), 4<<20)
}

func (c *L2) makeRoom() bool {
	for c.segments+c.size+c.room() > c.capacity {
		s, ok := c.policy.Pop()
		if !ok {
			return false
		}
		c.reclaim(s)
	}
	return true
}

func (c *L2) reclaim(s *segment) {
	fate := c.policy.Decide(evict.Rotate, s, s.records, c.kept)
	if fate.Spared {
		c.policy.Spare(s)
		return
	}
	again := make(map[uint32]bool, len(fate.Rewrite))
	for _, r := range fate.Rewrite {
		again[r.Offset] = true
	}
	c.moves = append(c.moves, fate.Rewrite...)
	for _, r := range s.records {
		c.index[Number(r.ID)] = place{}
		c.held--
		if !again[r.Offset] {
			c.policy.Ghost.Add(r.ID)
		}
	}
	c.segments -= s.Size
	c.table[s.number] = nil
	c.free = append(c.free, s.number)
}
