package trace

import (
	"fmt"
	"io"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/loadtest/workload"
)

// A Trace is reads of objects in their order.
type Trace struct {
	Name string
	// IDs are the objects, numbered in the order of their first read.
	IDs []uint64
	// Size of each read's object in bytes, in whole pages of 4 KiB, which is what memory
	// and disks give.
	Sizes []int64

	numbers map[uint64]uint64
}

const page = 4096

// add appends a read.
func (t *Trace) add(id uint64, size int64) {
	if t.numbers == nil {
		t.numbers = map[uint64]uint64{}
	}
	n, known := t.numbers[id]
	if !known {
		n = uint64(len(t.numbers))
		t.numbers[id] = n
	}
	t.IDs = append(t.IDs, n)
	t.Sizes = append(t.Sizes, (size+page-1)/page*page)
}

// Distinct returns how many objects are read, and their bytes.
func (t *Trace) Distinct() (objects int, bytes int64) {
	seen := make(map[uint64]struct{}, len(t.IDs)/8)
	for i, id := range t.IDs {
		if _, ok := seen[id]; !ok {
			seen[id] = struct{}{}
			bytes += t.Sizes[i]
		}
	}
	return len(seen), bytes
}

// Bytes returns the bytes of all reads.
func (t *Trace) Bytes() (sum int64) {
	for _, n := range t.Sizes {
		sum += n
	}
	return sum
}

// New makes a trace of reads.
func New(name string, ids []uint64, sizes []int64) *Trace {
	t := &Trace{Name: name}
	for i, id := range ids {
		t.add(id, sizes[i])
	}
	return t
}

// maxReads bounds a public trace that is held in memory.
const maxReads = 200_000_000

// Public reads a trace in one of the forms of package workload. An object that changes
// its size keeps the first; one larger than a block is read as several.
func Public(r io.Reader, name, form string) (*Trace, error) {
	t := &Trace{Name: name}
	sizes := map[uint64]int64{}
	for a, err := range workload.Accesses(r, form) {
		if err != nil {
			return nil, fmt.Errorf("trace %s: %w", name, err)
		}
		size, known := sizes[a.Object]
		if !known {
			size = int64(a.Size)
			sizes[a.Object] = size
		}
		if len(t.IDs) >= maxReads {
			return nil, fmt.Errorf("trace %s: it has more than %d reads", name, maxReads)
		}
		if size <= block.MaxSize {
			t.add(a.Object, size)
			continue
		}
		for part := uint64(0); size > 0; part++ {
			t.add(pieceOf(a.Object, part), min(size, block.MaxSize))
			size -= block.MaxSize
		}
	}
	return t, nil
}

// pieceOf names a part of an object that is larger than a block.
func pieceOf(object, part uint64) uint64 {
	x := object ^ (part+1)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	return (x ^ x>>27) | 1<<63
}
