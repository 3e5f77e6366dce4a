package residency

import (
	"encoding/binary"
	"time"

	"github.com/zonecache/cached/block"
)

// A Key names a set of blocks: the first eight bytes of a digest.
type Key uint64

// The kinds of sets.
const (
	kindWhole    = 'a'
	kindStarts   = 's'
	kindWorkload = 'w'
	kindPacked   = 'p'
)

// Whole names all blocks of an image.
func Whole(manifest block.ID) Key { return keyOf(manifest, kindWhole, "") }

// Starts names what recorded starts of an image need, of whatever workload.
func Starts(manifest block.ID) Key { return keyOf(manifest, kindStarts, "") }

// Workload names what recorded starts of one workload need.
func Workload(manifest block.ID, workload string) Key {
	return keyOf(manifest, kindWorkload, workload)
}

// Packed names a pack. Who says it holds it has read it through its zone, whose nodes
// have its parts then, rather than the blocks one by one.
func Packed(pack block.ID) Key { return keyOf(pack, kindPacked, "") }

func keyOf(manifest block.ID, kind byte, workload string) Key {
	sum := block.Sum(append(append(manifest[:], kind), workload...))
	return Key(binary.LittleEndian.Uint64(sum[:]))
}

// A Share is how much of a set a node holds.
type Share uint8

// All is the share of who holds all of it. Gone is no share: the node does not say
// any more.
const (
	All  Share = 250
	Gone Share = 255
)

// ShareOf is the share of who holds held out of all. It is rounded down, so that
// All is said of a whole set only, and not to nothing.
func ShareOf(held, all uint64) Share {
	if all == 0 || held == 0 {
		return 0
	}
	return max(1, Share(float64(All)*float64(min(held, all))/float64(all)))
}

// Part returns the share as a number from 0 to 1.
func (s Share) Part() float64 { return float64(s) / float64(All) }

// Valid reports whether a share is one.
func (s Share) Valid() bool { return s <= All || s == Gone }

// An Entry is what a node says of one set.
type Entry struct {
	Key   Key
	Seq   uint64 // of the change, counted by the node
	Share Share

	at uint32 // when it was so, in seconds of the table's time
}

// A Record is what a node says of itself.
type Record struct {
	Node  string
	Start uint64 // of its run: greater than those of the runs before
	// Full is the change up to which the record is complete; zero: it is news only.
	Full    uint64
	Entries []Entry // by Key, each once
	// Age is how long ago the node said what is complete, and NewsAge the rest of it.
	Age, NewsAge time.Duration
}

// Limits of what is kept.
const (
	MaxEntries = 512     // of a node
	MaxNodes   = 4096    // of a zone
	MaxStart   = 1 << 62 // what a run may be numbered, and changes
)
