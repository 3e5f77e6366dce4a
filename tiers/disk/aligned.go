package disk

import "unsafe"

// alignedBytes returns n bytes of the heap that start at a sector boundary, as
// direct I/O wants them. The heap never moves.
func alignedBytes(n int) []byte {
	p := make([]byte, n+sector)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(p)))) & (sector - 1)
	return p[skip : skip+n : skip+n]
}
