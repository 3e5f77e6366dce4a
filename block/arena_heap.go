//go:build !linux || race || invariants

package block

import "unsafe"

// newArena returns a page-aligned piece of the heap, where the race detector
// sees it.
func newArena(size int) []byte {
	m := make([]byte, size+pageSize)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(m)))) & (pageSize - 1)
	return m[skip : skip+size : skip+size]
}

func discard([]byte) {}

func populate([]byte) {}

// poison makes a read after Release show, instead of returning old bytes that
// happen to be right.
func poison(m []byte) {
	if len(m) == 0 {
		return
	}
	m[0] = 0xDB
	for n := 1; n < len(m); n *= 2 { // a write of a range costs the race detector less than one of each byte
		copy(m[n:], m[:n])
	}
}
