package account

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/zonecache/cached/block"
)

// maxImageName is the longest name that gets a book: as long as a manifest's id
// or the longest legal name. Longer ones count as other.
const maxImageName = block.MaxNameLength

// An entry says where in a book a request belongs.
type entry struct {
	row   row
	cause block.Cause
	ahead bool // it was served because its block was read ahead
}

// A book is the account of one image, sharded like the ledger. Each shard takes
// whole cache lines.
type book struct {
	name    string
	used    atomic.Bool // more than once since the hand last passed
	retired atomic.Bool
	shards  []bookShard
}

type bookShard struct {
	cells [rowCount][causeCount]tally
	ahead tally
	_     [64]byte
}

func (b *book) add(shard int, e entry, bytes int) {
	c := &b.shards[shard].cells[e.row][e.cause]
	again := c.blocks.Add(1) > 1
	if bytes != 0 {
		c.bytes.Add(int64(bytes))
	}
	if e.ahead {
		b.shards[shard].ahead.add(bytes)
	}
	// One use does not save a book, or a crowd of images read once would drive
	// out those in use. Mostly the flag is up: a load leaves its line shared.
	if again && !b.used.Load() {
		b.used.Store(true)
	}
}

// images are the books of a bounded number of images. Finding a book is a
// lookup in an immutable map; opening one copies the map and, when there are
// too many, retires one that was not used since the hand of the clock passed it.
type images struct {
	shards  int
	limit   int
	open    atomic.Pointer[map[string]*book]
	mu      sync.Mutex
	clock   []*book
	hand    int
	retired int64
	other   *book // what retired books held
}

func newImages(limit, shards int) *images {
	i := &images{limit: limit, shards: shards}
	i.other = i.newBook("")
	i.open.Store(&map[string]*book{})
	return i
}

func (i *images) newBook(name string) *book {
	return &book{name: name, shards: make([]bookShard, i.shards)}
}

func (i *images) add(name string, shard int, e entry, bytes int) {
	b := (*i.open.Load())[name]
	if b == nil {
		b = i.openBook(name)
	}
	b.add(shard, e, bytes)
	// The book may have been retired since it was found. Its retirement is
	// marked before it is emptied, so that who adds after the emptying sees the
	// mark and empties it again: nothing is lost, nothing counted twice.
	if b.retired.Load() {
		i.mu.Lock()
		i.foldLocked(b)
		i.mu.Unlock()
	}
}

func (i *images) openBook(name string) *book {
	if len(name) > maxImageName {
		return i.other
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	old := *i.open.Load()
	if b := old[name]; b != nil {
		return b
	}
	b := i.newBook(name)
	next := maps.Clone(old)
	next[name] = b
	if len(i.clock) < i.limit {
		i.clock = append(i.clock, b)
		i.open.Store(&next)
		return b
	}
	for i.clock[i.hand].used.Swap(false) {
		i.hand = (i.hand + 1) % i.limit
	}
	victim := i.clock[i.hand]
	i.clock[i.hand] = b
	i.hand = (i.hand + 1) % i.limit
	delete(next, victim.name)
	i.open.Store(&next)
	victim.retired.Store(true)
	i.retired++
	i.foldLocked(victim)
	return b
}

// foldLocked moves what a retired book holds to other.
func (i *images) foldLocked(b *book) {
	for s := range b.shards {
		b.shards[s].ahead.moveTo(&i.other.shards[s].ahead)
		for r := range b.shards[s].cells {
			for c := range b.shards[s].cells[r] {
				b.shards[s].cells[r][c].moveTo(&i.other.shards[s].cells[r][c])
			}
		}
	}
}
