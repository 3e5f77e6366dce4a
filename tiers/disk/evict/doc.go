// Package evict decides what L2 keeps and what it evicts: which log a block belongs to,
// which segment's turn it is, and what of it lives on. It reads and writes nothing, so
// that simulations decide as the disk does.
//
// A writer asks [Policy.LogFor] of every block it stores, fills segments of
// [SegmentSize] bytes, gives full ones to [Policy.Push], counts reads by [Heat.Bump],
// and for room takes the segment that [Policy.Pop] returns and does with it what
// [Policy.Decide] says. A Policy belongs to one goroutine; heats and the ghost may be
// used by others at the same time.
package evict
