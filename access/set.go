package access

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/zonecache/cached/block"
)

// A set is the ids of an image's blocks: sorted, with an index by their first
// bits, so that a lookup touches two or three cache lines. Ids are whole, never
// shortened: who chooses a manifest chooses its ids.
type set struct {
	ids   []block.ID
	start []uint32 // bucket b is ids[start[b]:start[b+1]]
	shift uint     // of the first 32 bits to the bucket
}

// perBucket is how many ids a bucket has on average: an id costs 32 bytes, and
// the index 4/perBucket.
const perBucket = 4

func newSet(ids []block.ID) *set {
	width := max(bits.Len(uint(len(ids)/perBucket)), 1) // of a bucket's number, in bits
	s := &set{ids: make([]block.ID, len(ids)), start: make([]uint32, 1<<width+1), shift: uint(32 - width)}
	for _, id := range ids {
		s.start[s.bucket(&id)+1]++
	}
	for b := 1; b < len(s.start); b++ {
		s.start[b] += s.start[b-1]
	}
	next := slices.Clone(s.start)
	for _, id := range ids {
		b := s.bucket(&id)
		s.ids[next[b]] = id
		next[b]++
	}
	// Sorted so that a manifest made of look-alikes costs no more than a logarithm.
	for b := range len(s.start) - 1 {
		slices.SortFunc(s.ids[s.start[b]:s.start[b+1]], compare)
	}
	return s
}

func compare(a, b block.ID) int { return bytes.Compare(a[:], b[:]) }

func (s *set) bucket(id *block.ID) uint32 { return binary.BigEndian.Uint32(id[:4]) >> s.shift }

func (s *set) contains(id block.ID) bool {
	b := s.bucket(&id)
	_, ok := slices.BinarySearchFunc(s.ids[s.start[b]:s.start[b+1]], id, compare)
	return ok
}

// size returns the bytes the set takes.
func (s *set) size() int64 { return int64(len(s.ids)*len(block.ID{}) + 4*len(s.start)) }
