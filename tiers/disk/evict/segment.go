package evict

import "github.com/zonecache/cached/block"

// A Log names one of the two FIFOs of segments.
type Log uint8

// The logs.
const (
	Small Log = iota // blocks seen for the first time, about a tenth of the space
	Main             // blocks that were read again
	Logs             // how many there are
)

// String returns "small" or "main".
func (l Log) String() string {
	if l == Main {
		return "main"
	}
	return "small"
}

// A Segment is what a policy knows of one. Readers use Heat; everything else belongs to
// the writer.
type Segment struct {
	Heat  Heat
	Log   Log
	Order uint64 // in the FIFO of its log
	Size  int64  // bytes it occupies on disk
	Used  int64  // bytes committed: the index refers to nothing beyond
}

// Part returns s: whoever embeds a Segment has it managed by a [Policy].
func (s *Segment) Part() *Segment { return s }

// A Record is one block within a segment.
type Record struct {
	ID     block.ID
	Offset uint32
	Length uint32
}

// Segments are at most 64 MiB, and there are at least some 40 of them, so that
// reclaiming one is a small step; a large tier has 4096 larger ones, so that
// descriptors stay few. MaxSegmentSize is where the offset in a [Record] ends.
const (
	MaxSegmentSize = 1 << 30
	minSegmentSize = 1 << 20 // one block of the largest size
	stdSegmentSize = 64 << 20
	minSegments    = 40
	maxSegments    = 4096
)

// SegmentSize returns how large the segments are of a tier of that many bytes.
func SegmentSize(capacity int64) int64 {
	size := max(min(capacity/minSegments, stdSegmentSize), capacity/maxSegments)
	return min(max(size, minSegmentSize), MaxSegmentSize) &^ (minSegmentSize - 1)
}
