package prefetch

import (
	"sort"

	"github.com/zonecache/cached/block"
)

// An alignment lays two versions of an image side by side. The blocks that both
// have, once each, are its marks. What stands between two marks in one version is
// what became of what stands between them in the other: a file system lays its
// files in the order of their names, so these are the same files, or the same part
// of the tables. No path is needed for it, and no byte of either image.
type alignment struct {
	is      []Block
	at      map[block.ID]uint32 // where a block of the new version is first
	marks   []mark
	wasEnds []int64 // where the old version's blocks end, in bytes of their stored forms
	isEnds  []int64
}

// A mark is a block that both versions have: its indexes.
type mark struct{ was, is int }

// mostGrown is how many times as large, or as small, what stands between two marks
// may have become, to be taken for the same.
const mostGrown = 4

func align(was, is []Block) *alignment {
	a := &alignment{is: is, at: make(map[block.ID]uint32, len(is)), wasEnds: ends(was), isEnds: ends(is)}
	for i := len(is) - 1; i >= 0; i-- {
		a.at[is[i].ID] = uint32(i)
	}
	times := make(map[block.ID]int, len(was)+len(is))
	for _, blocks := range [][]Block{was, is} {
		for _, b := range blocks {
			times[b.ID]++
		}
	}
	a.marks = append(a.marks, mark{-1, -1})
	for i, b := range was {
		if at, ok := a.at[b.ID]; ok && times[b.ID] == 2 {
			a.marks = append(a.marks, mark{i, int(at)})
		}
	}
	a.marks = append(a.marks, mark{len(was), len(is)})
	return a
}

// ends returns where each block ends, and after the last one where the image does.
func ends(blocks []Block) []int64 {
	ends := make([]int64, len(blocks)+1)
	at := int64(0)
	for i, b := range blocks {
		at += int64(max(b.Length, 1))
		ends[i] = at
	}
	ends[len(blocks)] = at
	return ends
}

// start returns where block i begins, given where blocks end.
func start(ends []int64, i int) int64 {
	if i <= 0 {
		return 0
	}
	return ends[i-1]
}

// find returns the blocks of the new version in which to find what was in a block
// of the old one.
func (a *alignment) find(old int, id block.ID) []uint32 {
	if i, ok := a.at[id]; ok {
		return []uint32{i}
	}
	next := sort.Search(len(a.marks), func(k int) bool { return a.marks[k].was > old })
	before, after := a.marks[next-1], a.marks[next]
	if after.is <= before.is+1 {
		return nil // nothing is left of it, or the two were moved apart
	}
	wasFrom, wasTo := start(a.wasEnds, before.was+1), start(a.wasEnds, after.was)
	isFrom, isTo := start(a.isEnds, before.is+1), start(a.isEnds, after.is)
	grown := float64(isTo-isFrom) / float64(wasTo-wasFrom)
	if grown > mostGrown || grown < 1.0/mostGrown {
		return nil
	}
	first := isFrom + int64(float64(start(a.wasEnds, old)-wasFrom)*grown)
	last := isFrom + int64(float64(a.wasEnds[old]-wasFrom)*grown)
	var found []uint32
	for i := before.is + 1; i < after.is; i++ {
		if start(a.isEnds, i) < last && a.isEnds[i] > first {
			found = append(found, uint32(i))
		}
	}
	return found
}
