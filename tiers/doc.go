// Package tiers combines readers of blocks into one. Every function takes
// [block.Reader]s and returns a [block.Reader], so that a deployment is an
// expression (see cmd/cached/wire.go):
//
//	l4    := Flight(Verify(Govern(origin, 4, 64)))
//	below := ReadThrough(l2, l4, Always)
//	local := Fallback(l1, Flight(ReadThrough(l1, below, Always)))
//
// Read from the inside: a miss of both caches reads the origin, at most 64 reads
// at a time, checks the bytes, and fills L2 and L1 before the flight ends, so
// that whoever arrives later finds the block in L1 and the origin is read once.
// The outer Fallback is the fast path: a hit in L1 costs no flight.
//
// Combinators hold no blocks and count nothing: what they pass on belongs to the
// caller, and accounting wraps them (package account). A failure of an upper
// tier makes a read slower, never fails it.
package tiers
