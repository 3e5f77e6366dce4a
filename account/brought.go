package account

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecache/cached/block"
)

// How many blocks are remembered that were read ahead, in sets of so many, and for how
// long: about what a start takes at most.
const (
	broughtSets = 1 << 14
	broughtWays = 4
	broughtFor  = 2 * time.Minute
)

// Brought wraps what reads below the caches, inside of the flight that all share who
// want a block, and notes which blocks came from the origin while somebody read them
// ahead. The first read of a program that finds such a block is no hit: without
// reading ahead it would have read the origin.
func (l *Ledger) Brought(next block.Reader) block.Reader {
	return block.ReaderFunc(func(ctx context.Context, id block.ID) (block.Block, error) {
		b, err := next.ReadBlock(ctx, id)
		if err == nil && b.From == block.Origin {
			l.brought.came(id, l.clock())
		}
		return b, err
	})
}

// Used says that a program has used a block without a read that this node sees: its
// agent had read it ahead.
func (l *Ledger) Used(id block.ID) { l.brought.take(id, l.clock()) }

// A broughtSet remembers blocks that are being read ahead (asked) or were, from the
// origin (brought). It takes half a MiB, from the first such read on, and no lock:
// where more blocks meet in a set than it has ways, the oldest is forgotten, whose next
// read then counts as a hit.
type broughtSet struct {
	made  sync.Once
	table atomic.Pointer[[broughtSets][broughtWays]atomic.Uint64]
}

// An entry is 40 bits of the id, 19 of the time in seconds, which are six days, how many
// read the block ahead just now, at most 15, and whether it was brought. Zero is none.
const (
	broughtBit    = 1
	broughtReader = 1 << 1
	broughtAsked  = 15 * broughtReader
	broughtShift  = 5
	broughtTick   = 1<<19 - 1
	broughtName   = ^uint64(1<<24 - 1)
)

// broughtAt returns the entry of an id without readers or a mark.
func broughtAt(id block.ID, now time.Duration) uint64 {
	return binary.LittleEndian.Uint64(id[8:])&broughtName | uint64(now/time.Second)&broughtTick<<broughtShift
}

// broughtOld reports whether an entry is of too long ago.
func broughtOld(e uint64, now time.Duration) bool {
	return (uint64(now/time.Second)-e>>broughtShift)&broughtTick > uint64(broughtFor/time.Second)
}

func (s *broughtSet) ways(id block.ID) *[broughtWays]atomic.Uint64 {
	t := s.table.Load()
	if t == nil {
		return nil
	}
	return &t[binary.LittleEndian.Uint64(id[:])%broughtSets]
}

// find returns where the id is and what stands there; nil: nowhere.
func (s *broughtSet) find(id block.ID) (*atomic.Uint64, uint64) {
	ways := s.ways(id)
	if ways == nil {
		return nil, 0
	}
	name := binary.LittleEndian.Uint64(id[8:]) & broughtName
	for i := range ways {
		if e := ways[i].Load(); e != 0 && e&broughtName == name {
			return &ways[i], e
		}
	}
	return nil, 0
}

// change has f say what stands where the id is, and returns what stood there; 0: it is
// nowhere. An entry that nobody reads and is not brought is none.
func (s *broughtSet) change(id block.ID, f func(was uint64) uint64) (was uint64) {
	for {
		at, was := s.find(id)
		if at == nil {
			return 0
		}
		e := f(was)
		if e&(broughtAsked|broughtBit) == 0 {
			e = 0
		}
		if at.CompareAndSwap(was, e) {
			return was
		}
	}
}

// asked notes that a block begins to be read ahead.
func (s *broughtSet) asked(id block.ID, now time.Duration) {
	s.made.Do(func() { s.table.Store(new([broughtSets][broughtWays]atomic.Uint64)) })
	first := broughtAt(id, now) | broughtReader
	if s.change(id, func(was uint64) uint64 {
		switch {
		case broughtOld(was, now):
			return first
		case was&broughtAsked == broughtAsked:
			return was
		}
		return was + broughtReader
	}) != 0 {
		return
	}
	ways := s.ways(id)
	for range broughtWays { // others may take the same way meanwhile
		oldest, what := &ways[0], ways[0].Load()
		for i := range ways {
			if e := ways[i].Load(); e == 0 || what != 0 && e>>broughtShift&broughtTick < what>>broughtShift&broughtTick {
				oldest, what = &ways[i], e
			}
		}
		if oldest.CompareAndSwap(what, first) {
			return
		}
	}
}

// came notes that the origin gave a block, which somebody may be reading ahead.
func (s *broughtSet) came(id block.ID, now time.Duration) {
	s.change(id, func(was uint64) uint64 {
		if broughtOld(was, now) {
			return 0
		}
		return broughtAt(id, now) | was&broughtAsked | broughtBit
	})
}

// ended notes that one reads a block ahead no more. What none does and came from
// elsewhere is forgotten.
func (s *broughtSet) ended(id block.ID) {
	s.change(id, func(was uint64) uint64 {
		if was&broughtAsked == 0 {
			return was
		}
		return was - broughtReader
	})
}

// take notes that a program has a block, and reports whether it is the first to have it
// since it was brought.
func (s *broughtSet) take(id block.ID, now time.Duration) bool {
	was := s.change(id, func(was uint64) uint64 { return was &^ broughtBit })
	return was&broughtBit != 0 && !broughtOld(was, now)
}
