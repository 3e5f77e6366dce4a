// Package memory is L1: blocks in this host's memory under a budget in bytes, the
// newest in a window, those that proved worth it in ristretto with its TinyLFU.
//
// A read is one lookup in a sharded map and one compare-and-swap on the block's
// reference count; it copies and allocates nothing, and the reader's reference
// keeps the bytes alive whatever is evicted meanwhile. A write puts the block
// into the window, where it stays until the tier is full and a quarter of the
// capacity has come after it. The writer who pushes it out hands it to ristretto
// and waits for the decision. There is no time in between in which a block can be
// neither found nor freed, and nothing queues up: blocks on their way in are those
// their writers hold anyway. A write that would have to stand behind too many
// others is declined instead.
//
// Blocks are charged what they occupy ([block.Block.MemorySize], not their
// length). The tier references at most its capacity, plus the blocks being
// offered at the moment (at most an eighth of the capacity and 32 MiB).
//
// The tier keeps one reference to each block it holds and drops it on eviction,
// on refusal and on Close. All methods may be called at the same time; reads
// and writes after Close are misses and declines.
//
// Configuration:
//
//	l1:
//	  size: 256MiB   # 0 switches the tier off
package memory
